import { parseOptions, TcpFlags } from '@resplice/dataplane';
import type { ClientOffer } from '@resplice/protocol';
import type { Backend } from './backends.ts';
import { type DialledId, NO_WINDOW_SCALE, type Wire } from './wire.ts';

/**
 * A SYN without an answer is repeated after so many ms, the last of them for as long as the limit allows: a burst overflows listen
 * queues, and LANs answer within one.
 */
const RETRIES_MS = [20, 30, 50, 100, 200];
/** Old sockets that are reset before a back end is given up. */
const MAX_RESETS = 3;

/** What a back end has answered to a SYN, in its own numbers. */
export interface Reply {
  /** Host order. */
  backend: number;
  backendPort: number;
  client: number;
  clientPort: number;
  sequence: number;
  acknowledgement: number;
  flags: number;
  /** Bytes used in `optionBytes`. */
  options: number;
  optionBytes: ArrayLike<number>;
}

/** What a dialler counts. */
export interface DialTally {
  backendRefused: number;
  backendSilent: number;
  backendOldSocket: number;
  backendPortTaken: number;
  backendLacksOptions: number;
}

/** In force now: a reload may change it. */
export interface DialLimits {
  /** How long a back end may take to accept a connection, ms. */
  readonly connectTimeoutMs: number;
}

export type DialResult =
  /** Connected; `s0` is the back end's initial sequence number. */
  | { kind: 'connected'; s0: number }
  /** An RST: nobody listens there, or the client uses that port of its own for another listener's connection to it. */
  | { kind: 'refused' }
  | { kind: 'silent' };

interface Dial {
  backend: Backend;
  id: DialledId;
  p0: number;
  offer: ClientOffer;
  owed: number;
  patient: boolean;
  attempt: number;
  /** ms that the back end has had once the timer is over. */
  waitedMs: number;
  resets: number;
  timer: NodeJS.Timeout | undefined;
  resolve(result: DialResult): void;
}

/** The packets that dialling takes. */
export type DialWire = Pick<Wire, 'syn' | 'reset'>;

/** Opens back-end connections in the clients' names. */
export class Dialer {
  readonly #wire: DialWire;
  readonly #tally: DialTally;
  readonly #limits: DialLimits;
  readonly #dials = new Map<string, Dial>();

  constructor(wire: DialWire, tally: DialTally, limits: DialLimits) {
    this.#wire = wire;
    this.#tally = tally;
    this.#limits = limits;
  }

  /**
   * @param patient go on although liveness calls the back end dead: there is no other
   * @param owed bytes that the proxies have acknowledged to the client
   */
  dial(
    backend: Backend,
    id: DialledId,
    p0: number,
    offer: ClientOffer,
    patient = false,
    owed = 0,
  ): Promise<DialResult> {
    return new Promise(resolve => {
      const dial: Dial = {
        backend,
        id,
        p0,
        offer,
        owed,
        patient,
        attempt: 0,
        waitedMs: 0,
        resets: 0,
        timer: undefined,
        resolve,
      };
      const name = key(backend, id.client, id.clientPort);
      const former = this.#dials.get(name);
      // Another listener's: the back end could not tell the two apart (the agent refuses what reaches it by two proxies).
      if (former && (former.id.vip !== id.vip || former.id.vipPort !== id.vipPort)) {
        this.#tally.backendPortTaken++;
        resolve({ kind: 'refused' });
        return;
      }
      // The client has given that connection up and uses its port again.
      if (former) this.#end(name, former, { kind: 'silent' });
      this.#dials.set(name, dial);
      this.#attempt(dial);
    });
  }

  /** What a back end answered to a SYN of ours; false if no dial waits for it, as for the doubled SYN's second answer. */
  receive(reply: Reply): boolean {
    const name = `${reply.backend}:${reply.backendPort}<${reply.client}:${reply.clientPort}`;
    const dial = this.#dials.get(name);
    if (!dial) return false;
    this.#answered(name, dial, reply);
    return true;
  }

  #answered(name: string, dial: Dial, reply: Reply): void {
    const expected = (dial.id.isn + 1) >>> 0;
    const { SYN, ACK, RST } = TcpFlags;
    if (reply.flags & RST) {
      if (reply.acknowledgement !== expected) return;
      this.#tally.backendRefused++;
      this.#end(name, dial, { kind: 'refused' });
    } else if ((reply.flags & (SYN | ACK)) === (SYN | ACK)) {
      if (reply.acknowledgement !== expected) return;
      if (lacksOptions(reply, dial.offer)) {
        // The client was promised window scaling and SACK in the cookie's SYN-ACK; without them the splice would lie.
        this.#tally.backendLacksOptions++;
        this.#wire.reset(dial.backend, dial.id, expected);
        this.#end(name, dial, { kind: 'refused' });
        return;
      }
      this.#end(name, dial, { kind: 'connected', s0: reply.sequence });
    } else if (reply.flags & ACK) {
      // A socket of a former connection from this address and port: it says what it expects; end it, and ask again.
      if (dial.resets >= MAX_RESETS) return;
      dial.resets++;
      this.#tally.backendOldSocket++;
      this.#wire.reset(dial.backend, dial.id, reply.acknowledgement);
      this.#wire.syn(dial.backend, dial.id, dial.p0, dial.offer, dial.owed);
    }
  }

  get size(): number {
    return this.#dials.size;
  }

  #attempt(dial: Dial): void {
    this.#wire.syn(dial.backend, dial.id, dial.p0, dial.offer, dial.owed);
    const { connectTimeoutMs } = this.#limits;
    const next = RETRIES_MS[Math.min(dial.attempt++, RETRIES_MS.length - 1)]!;
    const wait = Math.min(next, connectTimeoutMs - dial.waitedMs);
    dial.waitedMs += wait;
    dial.timer = setTimeout(() => {
      if (dial.waitedMs < connectTimeoutMs && (dial.backend.up || dial.patient)) {
        this.#attempt(dial);
        return;
      }
      this.#tally.backendSilent++;
      // No RST: if this proxy was frozen, a peer may have set the same connection up there meanwhile, and it is the same socket.
      // One that nobody uses times out.
      this.#end(key(dial.backend, dial.id.client, dial.id.clientPort), dial, { kind: 'silent' });
    }, wait);
  }

  #end(name: string, dial: Dial, result: DialResult): void {
    clearTimeout(dial.timer);
    this.#dials.delete(name);
    dial.resolve(result);
  }
}

function key(backend: Backend, client: number, clientPort: number): string {
  return `${backend.address}:${backend.port}<${client}:${clientPort}`;
}

function lacksOptions(reply: Reply, offer: ClientOffer): boolean {
  const options = parseOptions(new Uint8Array(reply.optionBytes), 0, reply.options);
  return (
    (offer.windowScale !== NO_WINDOW_SCALE && options.windowScale === undefined) ||
    (offer.sackPermitted && !options.sackPermitted)
  );
}
