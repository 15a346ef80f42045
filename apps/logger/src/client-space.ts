import type { ClientOffer, ConnectionId } from '@resplice/protocol';
import { Assembly } from './assembly.ts';
import type { Tracks } from './tracks.ts';

/** What a connection is told by. */
export interface Identity {
  slot: number;
  /** Of the slot. */
  generation: number;
  id: ConnectionId;
  /** The server's initial sequence number, as the client knows it. */
  p0: number;
  offer: ClientOffer;
}

/**
 * The map from a connection's bytes to TCP sequence numbers (P6.4). Offsets are bytes since the stream's first; the client's ISN and the
 * cookie turn them into sequence numbers and back.
 */
export class ClientSpace {
  readonly slot: number;
  readonly generation: number;
  readonly id: ConnectionId;
  readonly p0: number;
  readonly offer: ClientOffer;
  /** The client's bytes. */
  readonly incoming = new Assembly();
  /** The server's. */
  readonly outgoing = new Assembly();
  protected readonly tracks: Tracks;

  constructor({ slot, generation, id, p0, offer }: Identity, tracks: Tracks) {
    this.slot = slot;
    this.generation = generation;
    this.id = id;
    this.p0 = p0;
    this.offer = offer;
    this.tracks = tracks;
  }

  clientSequence(offset: number): number {
    return (this.id.isn + 1 + offset) >>> 0;
  }

  serverSequence(offset: number): number {
    return (this.p0 + 1 + offset) >>> 0;
  }

  /** The nearest offset to what is known that has this sequence number. */
  clientOffset(sequence: number): number {
    return this.incoming.end + ((sequence - this.clientSequence(this.incoming.end)) | 0);
  }

  serverOffset(sequence: number): number {
    return this.outgoing.end + ((sequence - this.serverSequence(this.outgoing.end)) | 0);
  }

  /** Offset behind the last byte that the client has acknowledged: A. */
  get acknowledged(): number {
    return this.serverOffset(this.tracks.clientAck(this.slot));
  }

  /** Offset behind the last byte that the client may have heard: T. */
  get heard(): number {
    return this.serverOffset(this.tracks.serverNext(this.slot));
  }

  /** Offset behind the last client byte that the present back end has acknowledged. */
  get delivered(): number {
    return this.clientOffset(this.tracks.serverAcked(this.slot));
  }

  /** Offset behind the last byte that the client was told has arrived. */
  get told(): number {
    return this.clientOffset(this.tracks.told(this.slot));
  }
}
