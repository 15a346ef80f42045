import { add, distance, TcpFlags } from '@resplice/dataplane';
import { type ClientOffer, connectionKey, type Entry } from '@resplice/protocol';
import type { Backend, Backends, Wire } from '@resplice/splice';
import type { ReplyEvent } from './layout.generated.ts';
import type { Tally } from './tally.ts';

/** Pause before the next attempt when nothing has got further, ms; the last one repeats. */
const RETRY_MS = [20, 40, 80, 160, 320, 640, 1000];
/** A back end that takes nothing for so long is not coming back, ms. */
const GIVE_UP_MS = 30_000;
/** Bytes on their way at once. What a back end's window does not take is sent again. */
const BURST = 32 << 10;
/** The client's window as long as no segment of it has told another; a field, before scaling. */
const WINDOW = 512;

/** Bytes that the client was told have arrived, on their way to the back end. */
interface Replay {
  readonly entry: Entry;
  readonly backend: Backend;
  readonly offer: ClientOffer;
  readonly bytes: Uint8Array;
  /** How many of them the back end has acknowledged. */
  done: number;
  attempts: number;
  progressMs: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Delivers what the proxies owe: bytes of a head in pieces that were acknowledged before there was a back end. The client has
 * discarded them, so this is the one place where a proxy sends until it is acknowledged, as TCP does. Twice does no harm.
 */
export class Replayer {
  readonly #wire: Pick<Wire, 'syn' | 'deliver'>;
  readonly #backends: Backends;
  readonly #tally: Tally;
  readonly #onEnd: (entry: Entry) => void;
  readonly #replays = new Map<string, Replay>();

  /** @param onEnd all has arrived, or never will */
  constructor(
    wire: Pick<Wire, 'syn' | 'deliver'>,
    backends: Backends,
    tally: Tally,
    onEnd: (entry: Entry) => void,
  ) {
    this.#wire = wire;
    this.#backends = backends;
    this.#tally = tally;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#replays.size;
  }

  /** The connection's own proxy has just sent the bytes; from here on it is seen to that they arrive. */
  start(entry: Entry, offer: ClientOffer, bytes: Uint8Array): void {
    const replay = this.#add(entry, offer, bytes);
    if (replay) this.#arm(replay);
  }

  /** A successor does not know how far it got: it asks, by a SYN that the back end's kernel answers with what it expects next. */
  takeOver(entry: Entry, offer: ClientOffer, bytes: Uint8Array): void {
    const replay = this.#add(entry, offer, bytes);
    if (!replay) return;
    this.#tally.owedTakenOver++;
    this.#ask(replay);
    this.#arm(replay);
  }

  /** What a back end said; false if it is not about a replay. */
  receive(reply: ReplyEvent): boolean {
    const replay = this.#replays.get(key(reply.backend, reply.backendPort, reply.client, reply.clientPort));
    if (!replay) return false;
    const { entry, bytes } = replay;
    const done = distance(reply.acknowledgement, add(entry.isn, 1));
    if (reply.flags & TcpFlags.RST) {
      this.#end(replay, 'owedRefused');
      return true;
    }
    // Not about this connection, or older than what is known.
    if (done < 0 || done < replay.done || done > bytes.length + (1 << 30)) return true;
    if (done >= bytes.length) {
      this.#end(replay, 'owedDelivered');
      return true;
    }
    // A SYN-ACK means that the handshake's last packet was lost: data completes it.
    if (done === replay.done && !(reply.flags & TcpFlags.SYN)) return true;
    replay.done = done;
    replay.attempts = 0;
    replay.progressMs = performance.now();
    this.#send(replay);
    this.#arm(replay);
    return true;
  }

  close(): void {
    for (const replay of this.#replays.values()) clearTimeout(replay.timer);
    this.#replays.clear();
  }

  #add(entry: Entry, offer: ClientOffer, bytes: Uint8Array): Replay | undefined {
    const backend = this.#backends.byId(entry.backend);
    if (!backend) {
      this.#tally.neverUnknownBackend++;
      this.#onEnd(entry);
      return undefined;
    }
    const name = key(backend.address, backend.port, entry.client, entry.clientPort);
    const former = this.#replays.get(name);
    // A port that is used again, or the same bytes once more.
    if (former) this.#stop(former);
    const progressMs = performance.now();
    const replay = {
      entry,
      backend,
      offer,
      bytes: bytes.slice(),
      done: 0,
      attempts: 0,
      progressMs,
      timer: undefined,
    };
    this.#replays.set(name, replay);
    return replay;
  }

  #arm(replay: Replay): void {
    clearTimeout(replay.timer);
    const wait = RETRY_MS[Math.min(replay.attempts, RETRY_MS.length - 1)]!;
    replay.timer = setTimeout(() => {
      if (performance.now() - replay.progressMs > GIVE_UP_MS) {
        this.#end(replay, 'owedGivenUp');
        return;
      }
      replay.attempts++;
      this.#tally.owedRepeated++;
      this.#send(replay);
      // It may all be there, and only the word of it was lost: then no repetition of bytes tells, but a SYN does.
      if (replay.attempts > 1) this.#ask(replay);
      this.#arm(replay);
    }, wait);
  }

  #send({ backend, entry, bytes, done }: Replay): void {
    this.#wire.deliver(backend, entry, {
      sequence: add(entry.isn, 1 + done),
      acknowledgement: add(entry.p0, 1),
      window: WINDOW,
      payload: bytes.subarray(done, done + BURST),
      fin: false,
    });
  }

  #ask({ backend, entry, offer, bytes }: Replay): void {
    this.#wire.syn(backend, entry, entry.p0, offer, bytes.length);
  }

  #end(replay: Replay, outcome: 'owedDelivered' | 'owedRefused' | 'owedGivenUp'): void {
    this.#tally[outcome]++;
    this.#stop(replay);
    this.#onEnd(replay.entry);
  }

  #stop(replay: Replay): void {
    clearTimeout(replay.timer);
    const { backend, entry } = replay;
    const name = key(backend.address, backend.port, entry.client, entry.clientPort);
    const current = this.#replays.get(name);
    if (current && connectionKey(current.entry) === connectionKey(entry)) this.#replays.delete(name);
  }
}

function key(backend: number, port: number, client: number, clientPort: number): string {
  return `${backend}:${port}<${client}:${clientPort}`;
}
