import { formatIp } from '@resplice/dataplane';
import type { Conversation } from './conversation.ts';

/** Steps that are kept, of all connections. */
const MOST = 4096;

export interface Step {
  /** Wall clock, ms since 1970, with fractions. */
  atMs: number;
  /** `address:port` */
  client: string;
  what: string;
}

/** What happened to connections that changed their back ends, for `./resplice trace`. */
export class Timeline {
  readonly #steps: Step[] = [];

  note(conversation: Conversation, what: string): void {
    const { client, clientPort } = conversation.id;
    this.#steps.push({
      atMs: performance.timeOrigin + performance.now(),
      client: `${formatIp(client)}:${clientPort}`,
      what,
    });
    if (this.#steps.length > 2 * MOST) this.#steps.splice(0, MOST);
  }

  /** The newest, oldest first. */
  steps(): readonly Step[] {
    return this.#steps.slice(-MOST);
  }
}
