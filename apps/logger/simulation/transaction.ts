import type { Random } from './random.ts';

/** What the logger sees of a transaction, in the words of `Watch`; ms from its first byte on. */
export type Happening =
  | { at: number; what: 'complete' | 'first' | 'bytes' | 'repeat' | 'done' }
  | { at: number; what: 'ack'; outstanding: number; window: number };

export interface Transaction {
  /** Its request class. */
  cls: string;
  /** In their order, `complete` once, `done` last. */
  happenings: Happening[];
}

const WINDOW = 65_536;

/** Writes down a transaction step by step. */
export class Script {
  readonly #happenings: Happening[] = [];
  #now = 0;

  /** The request arrives, for so long. */
  request(ms = 0): this {
    return this.#after(ms, 'complete');
  }

  /** The server computes, then the response begins and reaches the client. */
  first(ms: number, rtt = 1): this {
    return this.#after(ms, 'first').ack(rtt);
  }

  /** The server is silent, with all it sent acknowledged, then goes on. */
  more(ms: number, rtt = 1): this {
    return this.#after(ms, 'bytes').ack(rtt);
  }

  /** The client acknowledges everything. */
  ack(rtt: number, window = WINDOW): this {
    this.#now += rtt;
    this.#happenings.push({ at: this.#now, what: 'ack', outstanding: 0, window });
    return this;
  }

  /** A full window is sent, then the client does not read for so long. */
  pause(ms: number, rtt = 1): this {
    this.#after(0.2, 'bytes').ack(rtt, 0).ack(ms);
    return this;
  }

  /** Bytes are lost beyond the logger, and sent again until they arrive. */
  lost(random: Random, loss: number, rtt: number): this {
    this.#after(0.2, 'bytes');
    let timeout = 200 + rtt;
    do {
      this.#after(timeout, 'repeat');
      timeout *= 2;
    } while (random.chance(loss));
    return this.ack(rtt);
  }

  /** The response's last bytes. */
  done(cls: string): Transaction {
    this.#happenings.push({ at: this.#now, what: 'done' });
    return { cls, happenings: this.#happenings };
  }

  #after(ms: number, what: 'complete' | 'first' | 'bytes' | 'repeat'): this {
    this.#now += ms;
    this.#happenings.push({ at: this.#now, what });
    return this;
  }
}
