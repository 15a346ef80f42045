/**
 * Which proxy serves which flow: the balancer and the logger must agree on it without talking to each other (P4.1).
 *
 * `flowHash` is the same function as in `bpf/flow.h`; a test holds the two together.
 */

/** The slot value that means "no proxy is live". */
export const NO_PROXY = 0xffff;

/** Slots of the table that BPF looks up; a power of two, so that a slot is `hash & (SLOT_COUNT − 1)`. */
export const SLOT_COUNT = 1024;

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the output. */
export function fmix32(value: number): number {
  let h = value | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Hashes a client's flow. Addresses, ports and seed are numbers in host order. */
export function flowHash(
  clientIp: number,
  clientPort: number,
  vip: number,
  vipPort: number,
  seed: number,
): number {
  let h = fmix32(seed ^ clientIp);
  h = fmix32(h ^ ((clientPort << 16) | vipPort));
  return fmix32(h ^ vip);
}

/**
 * The balancer's table by rendezvous hashing: each slot goes to the live proxy that weighs most for that slot. When a
 * proxy dies only its own slots move, and when it comes back it gets exactly these again.
 *
 * The weights depend on the proxies' ids, not on their order, so that balancer and logger need the same ids only.
 *
 * @param proxyIds ids of all proxies, live or not; a slot holds an index into this list
 * @param liveIds ids of those that may be used
 * @returns one index per slot, or NO_PROXY everywhere if none is live
 */
export function buildSlots(
  proxyIds: readonly number[],
  liveIds: ReadonlySet<number>,
  size = SLOT_COUNT,
): Uint16Array {
  const slots = new Uint16Array(size).fill(NO_PROXY);
  for (let slot = 0; slot < size; slot++) {
    let heaviest = -1;
    let heaviestId = -1;
    for (const [index, id] of proxyIds.entries()) {
      if (!liveIds.has(id)) continue;
      const weight = fmix32(fmix32(slot + 1) ^ fmix32(id));
      if (weight > heaviest || (weight === heaviest && id > heaviestId)) {
        heaviest = weight;
        heaviestId = id;
        slots[slot] = index;
      }
    }
  }
  return slots;
}
