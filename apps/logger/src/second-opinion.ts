import { connect } from 'node:net';
import { formatIp } from '@resplice/dataplane';
import type { Backend } from '@resplice/splice';

/** A host that lives answers a SYN within so long, ms. */
const CONNECT_MS = 60;
/** An application that lives answers a request of no consequence within so long, ms: as long as the shortest time-out that is learnt. */
const ANSWER_MS = 400;
/** While its agent is silent, a back end is asked again after so many ms. */
const AGAIN_MS = 100;
/** Who has not answered for so long since it counted as dead will not be back in time, ms. */
const CERTAIN_MS = 3000;
/** A timer that fires so late was not looked at, ms: nor was what came meanwhile. */
const LATE_MS = 20;

/** It asks for nothing but an answer (RFC 9110 §9.3.7), which every HTTP/1.1 server gives, be it a refusal. */
const QUESTION = 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** @returns whether the application answers; an agent may be dead alone */
export function answers({ address, port }: Pick<Backend, 'address' | 'port'>): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: formatIp(address), port, noDelay: true });
    let connected = false;
    let stop = within(CONNECT_MS, () => done(false));
    const done = (alive: boolean) => {
      stop();
      socket.destroy();
      resolve(alive);
    };
    socket.on('connect', () => {
      connected = true;
      stop();
      stop = within(ANSWER_MS, () => done(false));
      socket.write(QUESTION);
    });
    // Whatever it says, and even if it only hangs up, somebody has looked.
    socket.on('data', () => done(true));
    socket.on('end', () => done(true));
    socket.on('error', () => done(connected && socket.bytesRead > 0));
  });
}

/**
 * A time-out that does not hold somebody else's silence for what was this process's own: when it had no processor, it waits again.
 *
 * @param ms how long
 * @returns stops it
 */
function within(ms: number, onTimeout: () => void): () => void {
  const due = performance.now() + ms;
  let timer = setTimeout(() => {
    if (performance.now() - due > LATE_MS) stop = within(ms, onTimeout);
    else timer = setTimeout(onTimeout); // What came until now is read before.
  }, ms);
  let stop = () => clearTimeout(timer);
  return () => stop();
}

/**
 * The same question, put once at a time: of a thousand connections that want to know of one back end at once, one asks.
 *
 * @param ask to be replaced in tests
 */
export function askingOnce(ask: (backend: Backend) => Promise<boolean> = answers): typeof ask {
  const asked = new Map<Backend, Promise<boolean>>();
  return backend => {
    let pending = asked.get(backend);
    if (!pending) {
      pending = ask(backend).finally(() => asked.delete(backend));
      asked.set(backend, pending);
    }
    return pending;
  };
}

interface Doubt {
  /** What counts is the doubt that holds: what was asked for a former one counts no more. */
  readonly epoch: number;
  /** Since when it has counted as dead, ms of performance.now(); undefined: it does not. */
  deadMs: number | undefined;
}

/**
 * Back ends whose agents are silent: dead is one whose application does not answer either (ARCHITECTURE §5). That may be wrong, be it
 * that the machine is slow. Whoever loses nothing by it leaves at once; who would lose everything waits until it is certain.
 */
export class SecondOpinion {
  readonly #onDeath: (backend: Backend, isCertain: boolean) => void;
  readonly #ask: typeof answers;
  readonly #doubted = new Map<Backend, Doubt>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /**
   * @param onDeath told twice of one that stays dead: the second time it is certain
   * @param ask to be replaced in tests
   */
  constructor(onDeath: (backend: Backend, isCertain: boolean) => void, ask = answers) {
    this.#onDeath = onDeath;
    this.#ask = ask;
  }

  /** Its agent has fallen silent. @param epoch of that agent */
  doubt(backend: Backend, epoch: number): void {
    if (this.#doubted.has(backend)) return;
    const doubt = { epoch, deadMs: undefined };
    this.#doubted.set(backend, doubt);
    void this.#look(backend, doubt);
  }

  /** Its agent speaks again. @param epoch another one than before: the host has started anew, and knows of nothing */
  trust(backend: Backend, epoch: number): void {
    const doubt = this.#doubted.get(backend);
    this.#doubted.delete(backend);
    if (doubt?.deadMs !== undefined && doubt.epoch !== epoch) this.#onDeath(backend, true);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#doubted.clear();
  }

  async #look(backend: Backend, doubt: Doubt): Promise<void> {
    const alive = await this.#ask(backend);
    if (this.#doubted.get(backend) !== doubt) return;
    const nowMs = performance.now();
    if (alive) doubt.deadMs = undefined;
    else if (doubt.deadMs === undefined) {
      doubt.deadMs = nowMs;
      this.#onDeath(backend, false);
    } else if (nowMs - doubt.deadMs > CERTAIN_MS) {
      this.#doubted.delete(backend);
      this.#onDeath(backend, true);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#doubted.get(backend) === doubt) void this.#look(backend, doubt);
    }, AGAIN_MS);
    this.#timers.add(timer);
  }
}
