/** What is asked of a site at each moment, and how its answer is told from a wrong one. */
import type { ClientConnection } from '@resplice/e2e/fixtures/client.ts';
import type { Exchange, RequestOptions } from '@resplice/e2e/fixtures/exchange.ts';
import { patternHash } from '@resplice/e2e/fixtures/known-bytes.ts';
import type { Cell, MomentName, Workload } from './cell.ts';
import type { LabFacts } from './lab.ts';
import type { Pace } from './pace.ts';

export interface Work {
  readonly request: RequestOptions;
  /** Of the longer of the two bodies, the request's and the answer's. */
  readonly bytes: number;
  /** In what way this is not the right answer; null: it is. */
  wrong(exchange: Exchange): string | null;
}

export interface Asked {
  readonly status: number;
  /** The back end that answered, if anybody can tell. */
  readonly backend: string | undefined;
}

export interface Site {
  /** Why nothing can be asked of it at this moment; null: it can. */
  unfit(cell: Cell): string | null;
  /** @param token what the request is called by those who look for it */
  work(moment: MomentName, workload: Workload, token: string): Work;
  /** Whether a connection outlives its first answer. */
  readonly keepsAlive: boolean;
  /** The back end that serves this connection now; undefined if nobody can tell. */
  served(connection: ClientConnection): Promise<string | undefined>;
  /** One request on a connection. @throws ExchangeError when the connection breaks */
  ask(connection: ClientConnection): Promise<Asked>;
}

/** How long a waiting request waits, ms: longer than a fault takes to be made. */
const WAIT_MS = 2000;
/** Fits into one flight of a server's, so that all of it is on its way before anything is acknowledged. */
const ONE_FLIGHT = 12_000;
/** Of a request that has nothing special about it. */
const ORDINARY = 100_000;
/** Of a request for nothing but whether it is answered. */
const ASK_DEADLINE_MS = 5000;

function otherThan(wanted: unknown, found: unknown, what: string): string | null {
  const [want, is] = [JSON.stringify(wanted), JSON.stringify(found)];
  return want === is ? null : `${what}: ${is} instead of ${want}`;
}

function status200({ status }: Exchange): string | null {
  return otherThan(200, status, 'status');
}

/** The first so many known bytes. */
function known(bytes: number): Work['wrong'] {
  return exchange => {
    const bad = status200(exchange) ?? otherThan(bytes, exchange.received, 'length');
    if (bad) return bad;
    if (exchange.firstDifference >= 0) return `byte ${exchange.firstDifference} is wrong`;
    return otherThan(patternHash(bytes), exchange.sha256, 'hash');
  };
}

function json(value: unknown): Work['wrong'] {
  const wanted = JSON.stringify(value);
  return exchange =>
    status200(exchange) ??
    (exchange.text === wanted ? null : `answer: ${exchange.text} instead of ${wanted}`);
}

type Maker = (token: string) => Work;

/** The built-in demonstration site. */
export function demoSite({ bytes, bytesPerSecond, deadlineMs }: Pace): Site {
  const request = (token: string, options: RequestOptions): RequestOptions => ({
    deadlineMs,
    headers: { 'X-Request-Token': token },
    ...options,
  });
  const get = (size: number, paced = false): Maker => {
    const pace = paced ? { bytesPerSecond } : {};
    return token => ({
      request: request(token, { path: `/bytes/${size}`, patternFrom: 0, ...pace }),
      bytes: size,
      wrong: known(size),
    });
  };
  const post = (size: number, paced = false): Maker => {
    const pace = paced ? { bytesPerSecond } : {};
    return token => ({
      request: request(token, { method: 'POST', path: `/count?bytes=${size}`, patternFrom: 0, ...pace }),
      bytes: size,
      wrong: known(size),
    });
  };
  const count: Maker = token => ({
    request: request(token, { method: 'POST', path: '/count' }),
    bytes: 0,
    wrong: status200,
  });
  const upload: Maker = token => ({
    request: request(token, { method: 'POST', path: '/upload', upload: { bytes }, bytesPerSecond }),
    bytes,
    wrong: json({ bytes, sha256: patternHash(bytes) }),
  });
  const slow: Maker = token => ({
    request: request(token, { path: `/slow?ms=${WAIT_MS}` }),
    bytes: 0,
    wrong: json({ waitedMs: WAIT_MS }),
  });
  const slowCount: Maker = token => ({
    request: request(token, { method: 'POST', path: `/count?ms=${WAIT_MS}` }),
    bytes: 0,
    wrong: status200,
  });
  const makers: Record<MomentName, Record<Workload, Maker>> = {
    handshake: { read: get(ORDINARY), update: count },
    head: { read: get(ORDINARY), update: count },
    upload: { read: upload, update: upload },
    waiting: { read: slow, update: slowCount },
    response: { read: get(bytes, true), update: post(bytes, true) },
    tail: { read: get(ONE_FLIGHT), update: post(ONE_FLIGHT) },
    idle: { read: get(ORDINARY), update: count },
  };
  return {
    keepsAlive: true,
    unfit: () => null,
    // Each request may be another back end's: the site itself tells, request by request.
    served: async () => undefined,
    work: (moment, workload, token) => makers[moment][workload](token),
    async ask(connection) {
      const request = { path: '/whoami', deadlineMs: ASK_DEADLINE_MS };
      const { status, text } = await connection.request(request).done;
      return { status, backend: status === 200 ? JSON.parse(text!).backend : undefined };
    },
  };
}

/** Of less a server's kernel may hold all that a client has not got, and sends it whatever becomes of the server. */
const LEAST_TO_CUT = 10_000_000;

/** What `/` of the user's site, or whichever path was named, is without a fault. */
export interface Page {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly keepsAlive: boolean;
}

/** Whether the server means to go on with the connection after this answer (RFC 9112 §9.3). */
export function keepsAlive({
  version,
  headers,
  framing,
}: Pick<Exchange, 'version' | 'headers' | 'framing'>): boolean {
  if (framing === 'close') return false;
  const said = headers.connection?.toLowerCase();
  return version === '1.0' ? said === 'keep-alive' : said !== 'close';
}

/**
 * Any server that answers a GET: only what needs no word of its own can be aimed at.
 *
 * @param served finds the back end that serves a connection; undefined where nobody can tell
 */
export function anySite(
  page: Page,
  { arm }: Pick<LabFacts, 'arm'>,
  { deadlineMs }: Pace,
  served: (connection: ClientConnection) => Promise<string | undefined>,
): Site {
  const wrong = (exchange: Exchange): string | null =>
    status200(exchange) ??
    otherThan(page.bytes, exchange.received, 'length') ??
    otherThan(page.sha256, exchange.sha256, 'hash');
  return {
    keepsAlive: page.keepsAlive,
    served,
    unfit({ component, moment, workload }) {
      if (workload === 'update') return 'a server that is not ours does not count what it has done';
      if (moment === 'waiting' || moment === 'tail' || moment === 'upload') {
        return 'a server that is not ours does not tell when this is';
      }
      if (moment === 'response' && page.bytes < LEAST_TO_CUT) {
        return `${page.path} has ${page.bytes} bytes: a fault in its middle needs ${LEAST_TO_CUT} (--url-path names another page)`;
      }
      const later = moment === 'idle' || (moment === 'head' && component === 'backend');
      if (later && !page.keepsAlive) return 'the server closes the connection after each answer';
      const told = arm === 'resplice' || arm === 'forward' || moment === 'handshake';
      return component === 'proxy' || told ? null : `${arm} does not tell which back end serves whom`;
    },
    work: moment => ({
      request: {
        path: page.path,
        deadlineMs,
        // Two seconds long: time to ask who serves it.
        ...(moment === 'response' ? { bytesPerSecond: page.bytes / 2 } : {}),
      },
      bytes: page.bytes,
      wrong,
    }),
    async ask(connection) {
      const { status } = await connection.request({ path: page.path, deadlineMs: ASK_DEADLINE_MS }).done;
      return { status, backend: await served(connection) };
    },
  };
}
