// Sealed datagrams: every message between daemons (liveness probes, control records) is authenticated,
// fresh and delivered at most once. A host on the LAN without the cluster key can neither install a splice
// nor feign a live proxy. Nothing is encrypted: the content is no secret, its origin matters.
//
//   0      2     3     4        6     8       12         16        24          24+n      40+n
//   magic  ver   flags sender   pad   epoch   sequence   time ms   payload n   MAC 16
//
// All numbers are big-endian. The MAC is HMAC-SHA256 over everything before it, truncated to 16 bytes
// (RFC 2104 section 5), under a key of its own for each purpose: a probe's answer is no control record.

import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';

const MAGIC = 0x5e51;
const VERSION = 1;
const HEADER = 24;
const MAC = 16;

/** Bytes that sealing adds to a payload. */
export const SEAL_OVERHEAD = HEADER + MAC;

/** Sender's and receiver's clocks may differ by this much, and a datagram may be this old, in ms. */
export const FRESH_MS = 2000;

/** Datagrams may overtake each other by fewer than this many sequence numbers. */
export const REPLAY_WINDOW = 1024;

/** Length of the cluster key in bytes. */
export const CLUSTER_KEY_BYTES = 32;

export type Refusal = 'short' | 'magic' | 'mac' | 'stale' | 'replay';

export interface Opened {
  refused?: undefined;
  /** Sender's id, authenticated. */
  sender: number;
  /** Sender's epoch (u32 seconds at its start): grows with every restart. */
  epoch: number;
  /** A view into the datagram that was opened, not a copy: valid as long as that buffer is. */
  payload: Uint8Array;
}

export interface Refused {
  refused: Refusal;
}

/**
 * HKDF-SHA256 (RFC 5869) of the cluster key, without salt, `purpose` as its info.
 * @param key the cluster key, 32 bytes; RangeError otherwise
 * @param length bytes wanted, 1..8160
 */
export function deriveKey(key: Uint8Array, purpose: string, length: number): Uint8Array {
  if (key.length !== CLUSTER_KEY_BYTES) {
    throw new RangeError(`a cluster key has ${CLUSTER_KEY_BYTES} bytes, not ${key.length}`);
  }
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), purpose, length));
}

function macKey(key: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(deriveKey(key, purpose, 32));
}

function mac(key: KeyObject, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}

export interface SealerOptions {
  /** Cluster key, 32 bytes. */
  key: Uint8Array;
  purpose: string;
  /** This process's id, u16, unique in the cluster. */
  sender: number;
  /** u32, seconds since 1970 at the process's start: grows with every restart. */
  epoch: number;
  /** Wall clock in ms since 1970; Date.now by default. */
  now?: () => number;
}

/**
 * Seals payloads. One Sealer for each (purpose, sender, epoch), whatever the number of receivers: two of them
 * would count the same sequence numbers, and receivers would take the second one's datagrams for replays.
 */
export class Sealer {
  readonly #key: KeyObject;
  readonly #sender: number;
  readonly #epoch: number;
  readonly #now: () => number;
  #sequence = 0;

  constructor({ key, purpose, sender, epoch, now = Date.now }: SealerOptions) {
    if (!Number.isInteger(sender) || sender < 0 || sender > 0xffff) {
      throw new RangeError(`sender must be an integer in 0..65535, not ${sender}`);
    }
    if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffffffff) {
      throw new RangeError(`epoch must be an integer in 0..4294967295, not ${epoch}`);
    }
    this.#key = macKey(key, purpose);
    this.#sender = sender;
    this.#epoch = epoch;
    this.#now = now;
    // A process that is restarted within the second of its epoch has the same epoch again. It must not count from
    // where its predecessor did, or receivers take it for a replay: so the count starts with the ms since the epoch
    // began, times 2^20. At most 2^31, that later distances stay comparable.
    this.#sequence = Math.trunc(Math.min(Math.max(now() - epoch * 1000, 0), 2047)) * 2 ** 20;
  }

  /** Returns a new datagram, SEAL_OVERHEAD bytes longer than the payload. */
  seal(payload: Uint8Array): Buffer {
    const end = HEADER + payload.length;
    const out = Buffer.allocUnsafe(end + MAC);
    this.#sequence = (this.#sequence + 1) >>> 0;
    const time = this.#now();
    out.writeUInt16BE(MAGIC, 0);
    out[2] = VERSION;
    out[3] = 0;
    out.writeUInt16BE(this.#sender, 4);
    out.writeUInt16BE(0, 6);
    out.writeUInt32BE(this.#epoch, 8);
    out.writeUInt32BE(this.#sequence, 12);
    out.writeUInt32BE(Math.floor(time / 0x1_0000_0000) >>> 0, 16);
    out.writeUInt32BE(time >>> 0, 20);
    out.set(payload, HEADER);
    mac(this.#key, out.subarray(0, end)).copy(out, end, 0, MAC);
    return out;
  }
}

/** What is remembered of one sender in its newest epoch. */
class Window {
  epoch: number;
  #highest = 0;
  readonly #seen = new Uint32Array(REPLAY_WINDOW / 32);

  constructor(epoch: number, sequence: number) {
    this.epoch = epoch;
    this.restart(epoch, sequence);
  }

  restart(epoch: number, sequence: number): void {
    this.epoch = epoch;
    this.#highest = sequence;
    this.#seen.fill(0);
    this.#mark(sequence);
  }

  /**
   * False for a number seen before or too old to tell. Distances are signed 32-bit, so that the count may wrap
   * around; a datagram from 2^31 numbers ago would look new, but by then it is far older than FRESH_MS.
   */
  accept(sequence: number): boolean {
    const ahead = (sequence - this.#highest) | 0;
    if (ahead > 0) {
      if (ahead >= REPLAY_WINDOW) this.#seen.fill(0);
      else for (let i = 1; i <= ahead; i++) this.#clear(this.#highest + i);
      this.#highest = sequence;
    } else if (ahead <= -REPLAY_WINDOW || this.#has(sequence)) {
      return false;
    }
    this.#mark(sequence);
    return true;
  }

  #has(sequence: number): boolean {
    const bit = sequence & (REPLAY_WINDOW - 1);
    return (this.#seen[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }

  #mark(sequence: number): void {
    const bit = sequence & (REPLAY_WINDOW - 1);
    this.#seen[bit >>> 5]! |= 1 << (bit & 31);
  }

  #clear(sequence: number): void {
    const bit = sequence & (REPLAY_WINDOW - 1);
    this.#seen[bit >>> 5]! &= ~(1 << (bit & 31));
  }
}

export interface OpenerOptions {
  /** Cluster key, 32 bytes. */
  key: Uint8Array;
  purpose: string;
  /** Wall clock in ms since 1970; Date.now by default. */
  now?: () => number;
}

/**
 * Opens what a Sealer of the same key and purpose has sealed, each datagram once. Never throws, whatever the
 * bytes. What was seen is kept in memory only: after a restart of the receiver, datagrams of the last FRESH_MS
 * could be delivered a second time, so messages must be idempotent, or carry their receiver's nonce.
 */
export class Opener {
  readonly #key: KeyObject;
  readonly #now: () => number;
  // Bounded by the u16 sender, and only authenticated senders enter.
  readonly #senders = new Map<number, Window>();

  constructor({ key, purpose, now = Date.now }: OpenerOptions) {
    this.#key = macKey(key, purpose);
    this.#now = now;
  }

  open(datagram: Uint8Array): Opened | Refused {
    const end = datagram.length - MAC;
    if (end < HEADER) return { refused: 'short' };
    // Buffer.from(arrayBuffer, …) is a view, not a copy.
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length);
    if (bytes.readUInt16BE(0) !== MAGIC || bytes[2] !== VERSION) return { refused: 'magic' };
    // Before anything is believed or remembered: forged headers must not move a window.
    const expected = mac(this.#key, bytes.subarray(0, end)).subarray(0, MAC);
    if (!timingSafeEqual(expected, bytes.subarray(end))) return { refused: 'mac' };

    const sender = bytes.readUInt16BE(4);
    const epoch = bytes.readUInt32BE(8);
    const sequence = bytes.readUInt32BE(12);
    const time = bytes.readUInt32BE(16) * 0x1_0000_0000 + bytes.readUInt32BE(20);
    if (Math.abs(this.#now() - time) > FRESH_MS) return { refused: 'stale' };

    const window = this.#senders.get(sender);
    if (window === undefined) this.#senders.set(sender, new Window(epoch, sequence));
    else if (epoch < window.epoch) return { refused: 'stale' };
    else if (epoch > window.epoch) window.restart(epoch, sequence);
    else if (!window.accept(sequence)) return { refused: 'replay' };

    return { sender, epoch, payload: bytes.subarray(HEADER, end) };
  }
}
