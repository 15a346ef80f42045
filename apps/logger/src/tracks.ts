import type { BpfMapHandle } from '@resplice/dataplane';
import { mapMemory, UNKNOWN_START } from '@resplice/dataplane';
import type { ClientOffer } from '@resplice/protocol';
import { trackOffsets as at, type Track, TrackTrait, track as trackLayout } from './layout.generated.ts';

/** 2^32: set in `skip` to say that it holds a sequence number. */
const SKIPS = 1n << 32n;

/**
 * The kernel half's table of connections, in memory that is shared with it: reading and writing take no system call. Sequence
 * numbers are in client space. Fields that only one side writes need no more than a plain load or store; the two that recovery
 * orders against each other (`serverMode`, `serverNext`) go through Atomics.
 */
export class Tracks {
  readonly slots: number;
  readonly #words: Int32Array;
  readonly #doubleWords: BigUint64Array;
  readonly #view: DataView;
  readonly #stride = trackLayout.size / 4;

  /** @param memory the table's, if it is not the kernel's own */
  constructor(handle: Pick<BpfMapHandle, 'maxEntries'>, memory: ArrayBuffer);
  constructor(handle: BpfMapHandle);
  constructor(handle: Pick<BpfMapHandle, 'maxEntries'>, memory = mapMemory(handle as BpfMapHandle)) {
    this.slots = handle.maxEntries;
    this.#words = new Int32Array(memory);
    this.#doubleWords = new BigUint64Array(memory);
    this.#view = new DataView(memory);
  }

  read(slot: number): Track {
    return trackLayout.read(this.#view, slot * trackLayout.size);
  }

  generation(slot: number): number {
    return this.#word(slot, at.generation);
  }

  clientLogged(slot: number): number {
    return this.#word(slot, at.clientLogged);
  }

  /** The client's last ACK (P7.3). */
  clientAck(slot: number): number {
    return this.#word(slot, at.clientAck);
  }

  /** The window field of the client's last segment. */
  clientWindow(slot: number): number {
    return this.#view.getUint16(slot * trackLayout.size + at.clientWindow, true);
  }

  /** Behind the last byte that the client may have heard (P7.3). */
  serverNext(slot: number): number {
    return Atomics.load(this.#words, slot * this.#stride + at.serverNext / 4) >>> 0;
  }

  /** Behind the last server byte that is known here, or need not be. */
  serverLogged(slot: number): number {
    return this.#word(slot, at.serverLogged);
  }

  serverSeen(slot: number): number {
    return this.#word(slot, at.serverSeen);
  }

  /** Behind the last client byte that the present back end has acknowledged. */
  serverAcked(slot: number): number {
    return this.#word(slot, at.serverAcked);
  }

  told(slot: number): number {
    return this.#word(slot, at.told);
  }

  /** User space has acknowledged something to the client itself. The kernel half must hear nobody of the connection's then. */
  setTold(slot: number, sequence: number): void {
    this.#words[slot * this.#stride + at.told / 4] = sequence;
  }

  isBound(slot: number): boolean {
    return this.#view.getUint8(slot * trackLayout.size + at.bound) !== 0;
  }

  /** Host order. */
  backend(slot: number): number {
    return this.#view.getUint32(slot * trackLayout.size + at.backend, false);
  }

  delta(slot: number): number {
    return this.#word(slot, at.delta);
  }

  /** CLOCK_MONOTONIC, ms. */
  clientMs(slot: number): number {
    return Number(this.#doubleWords[(slot * trackLayout.size + at.clientNs) >> 3]) / 1e6;
  }

  /** CLOCK_MONOTONIC, ms. */
  serverMs(slot: number): number {
    return Number(this.#doubleWords[(slot * trackLayout.size + at.serverNs) >> 3]) / 1e6;
  }

  /** When a packet of it was last seen, from either side: CLOCK_MONOTONIC, ms. */
  lastMs(slot: number): number {
    return Math.max(this.clientMs(slot), this.serverMs(slot));
  }

  setClientMode(slot: number, mode: number): void {
    Atomics.store(this.#words, slot * this.#stride + at.clientMode / 4, mode);
  }

  /** A full barrier: what is read afterwards is what the kernel half may have let through before. */
  setServerMode(slot: number, mode: number): void {
    Atomics.store(this.#words, slot * this.#stride + at.serverMode / 4, mode);
  }

  /** Of the server's bytes nothing that ends before `sequence` is to be told. */
  skipUntil(slot: number, sequence: number): void {
    this.#doubleWords[(slot * trackLayout.size + at.skip) >> 3] = SKIPS | BigInt(sequence >>> 0);
  }

  /** User space has filled a gap: the log is whole up to there. */
  setClientLogged(slot: number, sequence: number): void {
    this.#words[slot * this.#stride + at.clientLogged / 4] = sequence;
  }

  /** User space has said something to the client itself, or let something through. */
  setServerNext(slot: number, sequence: number): void {
    Atomics.store(this.#words, slot * this.#stride + at.serverNext / 4, sequence);
    this.#words[slot * this.#stride + at.serverLogged / 4] = sequence;
  }

  setServerLogged(slot: number, sequence: number): void {
    this.#words[slot * this.#stride + at.serverLogged / 4] = sequence;
  }

  /** From here on nobody's packets count as the server's. */
  unbind(slot: number): void {
    this.#setMac(slot, [0, 0, 0, 0, 0, 0]);
  }

  /** From here on this back end holds the connection. */
  bind(
    slot: number,
    to: {
      address: number;
      port: number;
      delta: number;
      mac: readonly number[];
      /** Where its first byte goes. */
      responseAt: number;
      /** What it has acknowledged. */
      acked: number;
    },
  ): void {
    const base = slot * trackLayout.size;
    this.#view.setUint32(base + at.backend, to.address, false);
    this.#view.setUint16(base + at.backendPort, to.port, false);
    this.#view.setUint32(base + at.delta, to.delta, true);
    this.#view.setUint32(base + at.serverSeen, to.responseAt, true);
    this.#view.setUint32(base + at.serverAcked, to.acked, true);
    this.#view.setUint8(base + at.bound, 1);
    this.#setMac(slot, to.mac);
  }

  /** For a daemon that starts over: what the client has offered. */
  setOffer(slot: number, offer: ClientOffer): void {
    const base = slot * trackLayout.size;
    this.#view.setUint16(base + at.mss, offer.mss, true);
    const { TRAIT_SACK, TRAITS } = TrackTrait;
    this.#view.setUint8(
      base + at.traits,
      (offer.windowScale << TRAITS) | (offer.sackPermitted ? TRAIT_SACK : 0),
    );
    // It is new: no back end has been given anything.
    this.#view.setUint16(base + at.given, 1, true);
  }

  /** For a daemon that starts over: what is unfinished. An end that is not known is where the thing begins. */
  setUnfinished(
    slot: number,
    its: {
      requestAt: number;
      requestEnd: number;
      responseAt: number;
      responseEnd: number;
      isHead: boolean;
      /** Whether the request may run twice. */
      isRepeatable: boolean;
      /** How many requests of the connection back ends were given before it; `UNKNOWN_START`: nobody knows. */
      number: number;
    },
  ): void {
    const base = slot * this.#stride;
    this.#words[base + at.requestAt / 4] = its.requestAt;
    this.#words[base + at.requestEnd / 4] = its.requestEnd;
    this.#words[base + at.responseAt / 4] = its.responseAt;
    this.#words[base + at.responseEnd / 4] = its.responseEnd;
    const traits = slot * trackLayout.size + at.traits;
    const { TRAITS, TRAIT_SACK, TRAIT_HEAD, TRAIT_REPEATABLE } = TrackTrait;
    const own = (its.isHead ? TRAIT_HEAD : 0) | (its.isRepeatable ? TRAIT_REPEATABLE : 0);
    const offered = this.#view.getUint8(traits) & ((0xf << TRAITS) | TRAIT_SACK);
    this.#view.setUint8(traits, offered | own);
    const given = its.number < UNKNOWN_START ? its.number + 1 : 0;
    this.#view.setUint16(slot * trackLayout.size + at.given, given, true);
  }

  /** Whether something has passed that was not told, since nobody read the ring. */
  isUnattended(slot: number): boolean {
    return this.#view.getUint8(slot * trackLayout.size + at.unattended) !== 0;
  }

  /** From here on the kernel half keeps what its client sends from the back ends. */
  guard(slot: number): void {
    this.#view.setUint8(slot * trackLayout.size + at.guarded, 1);
  }

  /** Says whether the back end's FINs may pass. */
  letEnd(slot: number, passes: boolean): void {
    this.#view.setUint8(slot * trackLayout.size + at.endPasses, passes ? 1 : 0);
  }

  #setMac(slot: number, mac: readonly number[]): void {
    const base = slot * trackLayout.size + at.mac;
    for (let i = 0; i < 6; i++) this.#view.setUint8(base + i, mac[i]!);
  }

  #word(slot: number, offset: number): number {
    return this.#words[slot * this.#stride + offset / 4]! >>> 0;
  }
}
