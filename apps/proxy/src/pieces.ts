import { distance } from '@resplice/dataplane';
import type { ClientOffer, ConnectionId, Knowledge } from '@resplice/protocol';
import type { Wire } from '@resplice/splice';
import type { StoredHeads } from './stored-heads.ts';
import type { Tally } from './tally.ts';

/** A head that is incomplete for so long comes in pieces: the client waits for an acknowledgement (RFC 896), ms. */
const FIRST_MS = 20;
/** Then each flight is acknowledged as soon as it can have arrived, ms. */
const NEXT_MS = 2;
/** A peer that could not keep it is asked again after so many ms, then after twice as many, and so on. */
const AGAIN_MS = 10;
const MAX_AGAIN_MS = 640;

export interface PiecesDeps {
  self: number;
  heads: StoredHeads;
  wire: Pick<Wire, 'acknowledgeHead'>;
  tally: Tally;
}

/** Acknowledges the pieces of one head, each when all live proxies have it. */
export class Pieces {
  readonly #id: ConnectionId;
  readonly #p0: number;
  readonly #offer: ClientOffer;
  readonly #deps: PiecesDeps;
  readonly #bytes: () => Uint8Array;
  readonly #onObstacle: (obstacle: Knowledge) => void;
  #acknowledged: number;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;
  #stopped = false;
  #againMs = AGAIN_MS;

  /**
   * @param bytes what has arrived, from the first byte on
   * @param acknowledged bytes that a predecessor has acknowledged
   * @param onObstacle another proxy has the connection
   */
  constructor(
    id: ConnectionId,
    p0: number,
    offer: ClientOffer,
    deps: PiecesDeps,
    bytes: () => Uint8Array,
    acknowledged: number,
    onObstacle: (obstacle: Knowledge) => void,
  ) {
    this.#id = id;
    this.#p0 = p0;
    this.#offer = offer;
    this.#deps = deps;
    this.#bytes = bytes;
    this.#acknowledged = acknowledged;
    this.#onObstacle = onObstacle;
  }

  /** Bytes that the client was told have arrived, and so has discarded. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** A segment came, and the head is still incomplete. `end`: offset of its last byte's successor. */
  incomplete(end: number, length: number): void {
    if (length > 0 && end <= this.#acknowledged) {
      this.#acknowledge(); // sent again: the acknowledgement was lost
      return;
    }
    if (this.#bytes().length > this.#acknowledged)
      this.#schedule(this.#acknowledged > 0 ? NEXT_MS : FIRST_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(ms: number): void {
    if (this.#timer || this.#busy || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#busy = true;
      void this.#keep().finally(() => {
        this.#busy = false;
      });
    }, ms);
  }

  async #keep(): Promise<void> {
    const { heads, self, tally } = this.#deps;
    const bytes = this.#bytes();
    const length = bytes.length;
    const answer = await heads.keep(this.#id, this.#p0, this.#offer, bytes);
    if (this.#stopped) return;
    if (answer.kind === 'none') {
      if (this.#acknowledged === 0) tally.headsInPieces++;
      this.#acknowledged = Math.max(this.#acknowledged, length);
      this.#acknowledge();
      this.#againMs = AGAIN_MS;
      this.#busy = false;
      if (this.#bytes().length > this.#acknowledged) this.#schedule(NEXT_MS);
    } else if (answer.kind === 'held' && answer.holder === self) {
      this.#busy = false;
      this.#schedule(this.#againMs);
      this.#againMs = Math.min(this.#againMs * 2, MAX_AGAIN_MS);
    } else {
      this.#onObstacle(answer);
    }
  }

  #acknowledge(): void {
    this.#deps.wire.acknowledgeHead(this.#id, this.#p0, this.#acknowledged, this.#offer);
  }
}

/** Offset of a sequence number behind the request's first byte. */
export function offsetOf(sequence: number, id: ConnectionId): number {
  return distance(sequence, (id.isn + 1) >>> 0);
}
