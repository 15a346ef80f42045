import { BpfMap, type BpfObject, mapMemory, u32, u64 } from '@resplice/dataplane';

/** What one stray takes: NS_PER_SECOND / STRAYS_PER_SECOND of strays.h. */
const INTERVAL_NS = 1_000_000n;

/** The kernel half's bounds on segments of connections that nobody knows (strays.h), where some turn out to be known. */
export class StrayAllowance {
  readonly #sources: BpfMap<number, bigint>;
  /** One word: when all that was taken will have been earned again, CLOCK_MONOTONIC, ns. */
  readonly #earned: BigInt64Array;

  constructor(object: BpfObject) {
    this.#sources = new BpfMap(object.map('stray_sources'), u32, u64);
    this.#earned = new BigInt64Array(mapMemory(object.map('stray_allowance')), 0, 1);
  }

  /**
   * Gives back what segments from that address took: they were no strays.
   *
   * @param address host order
   * @param count of the segments; those that brought a cookie, right or not, took nothing
   */
  giveBack(address: number, count: number): void {
    this.#sources.delete(networkOrder(address));
    // What is earned already cannot be given back: the word would fall below zero in the end, which the kernel half reads as never.
    const taken = Atomics.load(this.#earned, 0) - process.hrtime.bigint();
    const back = BigInt(count) * INTERVAL_NS;
    if (taken > 0n) Atomics.sub(this.#earned, 0, back < taken ? back : taken);
  }
}

/** The maps have a bare address as their key, which the kernel compares in network order. */
export function networkOrder(address: number): number {
  return (
    (((address & 0xff) << 24) | ((address & 0xff00) << 8) | ((address >>> 8) & 0xff00) | (address >>> 24)) >>>
    0
  );
}
