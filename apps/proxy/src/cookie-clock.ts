import { deriveKey } from '@resplice/protocol';

/** As in cookie.h. */
const SLOT_SECONDS = 64;
const KEY_SLOTS = 64;
const KEYS = 4;
const REFRESH_MS = 1000;

interface SipKey {
  k0: bigint;
  k1: bigint;
}

/**
 * Keeps the cookies' clock and keys in the kernel half. All proxies derive the same keys from the cluster's and the time, so that
 * rotation needs no agreement; a daemon that is away for less than two hours leaves valid ones behind.
 */
export class CookieClock {
  readonly #memory: DataView;
  readonly #clusterKey: Uint8Array;
  #period = -1;
  #keys: SipKey[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param memory the mapped struct proxy_config, which begins with struct cookie_clock */
  constructor(memory: DataView, clusterKey: Uint8Array) {
    this.#memory = memory;
    this.#clusterKey = clusterKey;
  }

  /** What the kernel half needs at `nowMs` (wall clock). */
  value(nowMs = Date.now()): { wallOffsetNs: bigint; keys: SipKey[] } {
    const period = Math.floor(nowMs / 1000 / SLOT_SECONDS / KEY_SLOTS);
    if (period !== this.#period) {
      this.#period = period;
      this.#keys = keysAround(this.#clusterKey, period);
    }
    return { wallOffsetNs: BigInt(Math.round(nowMs * 1e6)) - process.hrtime.bigint(), keys: this.#keys };
  }

  start(): void {
    this.#timer = setInterval(() => {
      const { wallOffsetNs, keys } = this.value();
      this.#memory.setBigInt64(0, wallOffsetNs, true);
      for (const [i, { k0, k1 }] of keys.entries()) {
        this.#memory.setBigUint64(8 + i * 16, k0, true);
        this.#memory.setBigUint64(16 + i * 16, k1, true);
      }
    }, REFRESH_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** The keys of the last period, this one and the next two, each at its place in the kernel's array. */
export function keysAround(clusterKey: Uint8Array, period: number): SipKey[] {
  const keys = new Array<SipKey>(KEYS);
  for (let p = period - 1; p < period - 1 + KEYS; p++) {
    const bytes = deriveKey(clusterKey, `cookie ${p}`, 16);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    keys[((p % KEYS) + KEYS) % KEYS] = { k0: view.getBigUint64(0, true), k1: view.getBigUint64(8, true) };
  }
  return keys;
}
