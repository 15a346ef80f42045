import { connect } from 'node:net';
import { formatIp } from '@resplice/dataplane';
import type { Backend } from '@resplice/splice';

/** A host that lives answers a SYN within so long, ms. */
const CONNECT_MS = 60;
/** An application that lives answers a request of no consequence within so long, ms: as long as the shortest time-out that is learnt. */
const ANSWER_MS = 400;
/** While its agent is silent and it is not, a back end is asked again after so many ms. */
const AGAIN_MS = 100;

/** It asks for nothing but an answer (RFC 9110 §9.3.7), which every HTTP/1.1 server gives, be it a refusal. */
const QUESTION = 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** @returns whether the application answers; an agent may be dead alone */
export function answers({ address, port }: Pick<Backend, 'address' | 'port'>): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host: formatIp(address), port, noDelay: true });
    let timer = setTimeout(() => done(false), CONNECT_MS);
    let connected = false;
    const done = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    socket.on('connect', () => {
      connected = true;
      clearTimeout(timer);
      timer = setTimeout(() => done(false), ANSWER_MS);
      socket.write(QUESTION);
    });
    // Whatever it says, and even if it only hangs up, somebody has looked.
    socket.on('data', () => done(true));
    socket.on('end', () => done(true));
    socket.on('error', () => done(connected && socket.bytesRead > 0));
  });
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

/** Back ends whose agents are silent: dead is one whose application does not answer either (ARCHITECTURE §5). */
export class SecondOpinion {
  readonly #onDeath: (backend: Backend) => void;
  readonly #ask: typeof answers;
  /** Each with the doubt that holds: what was asked for a former one counts no more. */
  readonly #doubted = new Map<Backend, symbol>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** @param ask to be replaced in tests */
  constructor(onDeath: (backend: Backend) => void, ask = answers) {
    this.#onDeath = onDeath;
    this.#ask = ask;
  }

  /** Its agent has fallen silent. */
  doubt(backend: Backend): void {
    if (this.#doubted.has(backend)) return;
    const doubt = Symbol(backend.name);
    this.#doubted.set(backend, doubt);
    void this.#look(backend, doubt);
  }

  /** Its agent speaks again. */
  trust(backend: Backend): void {
    this.#doubted.delete(backend);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#doubted.clear();
  }

  async #look(backend: Backend, doubt: symbol): Promise<void> {
    const alive = await this.#ask(backend);
    if (this.#doubted.get(backend) !== doubt) return;
    if (!alive) {
      this.#doubted.delete(backend);
      this.#onDeath(backend);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#doubted.get(backend) === doubt) void this.#look(backend, doubt);
    }, AGAIN_MS);
    this.#timers.add(timer);
  }
}
