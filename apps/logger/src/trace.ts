import { formatIp, parseIp } from '@resplice/dataplane';
import type { Page } from '@resplice/service-kit';
import type { Conversation } from './conversation.ts';
import type { Step, Timeline } from './timeline.ts';
import type { ConversationView } from './view.ts';

/** What `GET /trace?client=…` answers. */
export interface TraceAnswer {
  /** `address:port` */
  client: string;
  vip: string;
  /** Wall clock, ms since 1970. */
  openedMs: number;
  /** Null: it is over. */
  connection: ConversationView | null;
  /** Older steps that are kept no more. */
  dropped: number;
  /** Oldest first; none: it has never left its back end. */
  steps: readonly Step[];
}

const CLIENT = /^(\d+\.\d+\.\d+\.\d+)(?::(\d{1,5}))?$/;

/**
 * The newest connection of a client's address, or of its address and port, and what happened to it.
 *
 * @param client `10.61.0.2:50000` or `10.61.0.2`
 * @param living the connections that are open
 */
export function traceOf(
  client: string,
  living: Iterable<Conversation>,
  timeline: Timeline,
  viewOf: (conversation: Conversation) => ConversationView,
): Page<TraceAnswer> {
  const [, text = '', portText] = CLIENT.exec(client) ?? [];
  const address = text ? readIp(text) : undefined;
  if (address === undefined)
    return { code: 400, body: { error: `"${client}" is neither an IPv4 address nor address:port` } };
  const port = portText === undefined ? undefined : Number(portText);
  const open = newestOf(living, address, port);
  const known = timeline.find(address, port);
  if (!open && !known)
    return { code: 404, body: { error: `no connection of ${client} is open, and none has moved lately` } };
  const isOpen = open !== undefined && (!known || open.openedMs >= known.openedMs);
  const trace = isOpen ? timeline.of(open) : known;
  return {
    code: 200,
    body: {
      client: isOpen ? `${formatIp(open.id.client)}:${open.id.clientPort}` : `${text}:${known!.clientPort}`,
      vip: isOpen ? `${formatIp(open.id.vip)}:${open.id.vipPort}` : known!.vip,
      openedMs: isOpen ? open.openedMs : known!.openedMs,
      connection: isOpen ? viewOf(open) : null,
      dropped: trace?.dropped ?? 0,
      steps: trace?.steps ?? [],
    },
  };
}

function readIp(text: string): number | undefined {
  try {
    return parseIp(text);
  } catch {
    return undefined;
  }
}

function newestOf(
  living: Iterable<Conversation>,
  address: number,
  port: number | undefined,
): Conversation | undefined {
  let newest: Conversation | undefined;
  for (const each of living) {
    if (each.id.client !== address || (port !== undefined && each.id.clientPort !== port)) continue;
    if (!newest || each.openedMs >= newest.openedMs) newest = each;
  }
  return newest;
}
