// Which live proxy carries a connection (P4.1): the table that balancer and logger share by computing the same one. It
// lies in memory that the BPF program reads; there are two halves, one of them active.

import {
  BpfMap,
  type BpfObject,
  buildSlots,
  ifindex,
  type Layout,
  mapMemory,
  NO_PROXY,
  parseIp,
  SLOT_COUNT,
  u32,
} from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';

export interface NextHop {
  address: number;
  ifindex: number;
}

/** What the code generator makes of the C structs; the same in each program that steers. */
export interface SteeringLayouts {
  steering: Layout<unknown>;
  steeringOffsets: { active: number; seed: number; version: number; spray: number; slots: number };
  nextHop: Layout<NextHop>;
}

export interface SteeringMember {
  name: string;
  id: number;
  address: string;
}

export const steeringModes = ['hash', 'spray'] as const;
export type SteeringMode = (typeof steeringModes)[number];

export interface SteeringOptions {
  /** Has the maps `steering` and `next_hops`. */
  object: BpfObject;
  layouts: SteeringLayouts;
  /** The proxies, at most as many as `next_hops` holds. */
  members: readonly SteeringMember[];
  /** Device towards them. */
  device: string;
  /** `hash`: a connection's packets all take one proxy. `spray`: each takes any, to try the replication. */
  mode: SteeringMode;
  /** Cluster key: the hash's seed is derived from it, so it is the same everywhere. */
  key: Uint8Array;
}

export interface SteeringTable {
  /** Names of the proxies that the table was made for. */
  live: string[];
  seed: number;
  /** Grows with every swap, also across restarts. */
  version: number;
  /** Indices into `proxies`; 65535 = none. */
  slots: number[];
  proxies: string[];
}

export class Steering {
  readonly #members: readonly SteeringMember[];
  readonly #device: string;
  readonly #nextHops: BpfMap<number, NextHop>;
  readonly #words: Int32Array;
  readonly #halves: readonly [Uint16Array, Uint16Array];
  readonly #index: { active: number; seed: number; version: number };

  /** @throws Error when there are more members than next hops */
  constructor({ object, layouts, members, device, mode, key }: SteeringOptions) {
    const { steering, steeringOffsets: offsets, nextHop } = layouts;
    const hops = object.map('next_hops');
    if (members.length > hops.maxEntries) {
      throw new Error(
        `at most ${hops.maxEntries} proxies can be steered to, ${members.length} are configured`,
      );
    }
    this.#members = members;
    this.#device = device;
    this.#nextHops = new BpfMap(hops, u32, nextHop);
    const memory = mapMemory(object.map('steering'));
    if (memory.byteLength < steering.size) throw new Error('map steering is smaller than its layout');
    this.#words = new Int32Array(memory, 0, steering.size >>> 2);
    this.#halves = [
      new Uint16Array(memory, offsets.slots, SLOT_COUNT),
      new Uint16Array(memory, offsets.slots + SLOT_COUNT * 2, SLOT_COUNT),
    ];
    this.#index = { active: offsets.active / 4, seed: offsets.seed / 4, version: offsets.version / 4 };
    // A new map is all zeros, which would mean the first proxy everywhere, seen alive or not.
    if (this.version === 0) for (const half of this.#halves) half.fill(NO_PROXY);
    Atomics.store(this.#words, offsets.spray / 4, mode === 'spray' ? 1 : 0);
    const seed = Buffer.from(deriveKey(key, 'steering', 4)).readInt32LE();
    Atomics.store(this.#words, this.#index.seed, seed);
  }

  get version(): number {
    return Atomics.load(this.#words, this.#index.version) >>> 0;
  }

  get seed(): number {
    return Atomics.load(this.#words, this.#index.seed) >>> 0;
  }

  get #active(): 0 | 1 {
    return (Atomics.load(this.#words, this.#index.active) & 1) as 0 | 1;
  }

  /**
   * Enters the members as next hops; for the upkeep, since a device that is made anew has a new index.
   * @throws Error when the device is missing
   */
  writeNextHops(): void {
    const index = ifindex(this.#device);
    for (const [slot, { address }] of this.#members.entries()) {
      const known = this.#nextHops.get(slot);
      const hop = { address: parseIp(address), ifindex: index };
      if (known?.address !== hop.address || known.ifindex !== hop.ifindex) this.#nextHops.set(slot, hop);
    }
  }

  /**
   * Swaps to the table of these live members.
   * @returns false when nothing was to be done: it is that table already, or nobody is live and so the last one stays
   */
  apply(live: ReadonlySet<string>): boolean {
    const ids = new Set(this.#members.filter(({ name }) => live.has(name)).map(({ id }) => id));
    // Guessing wrong costs less than giving up: the dead may be alive, and without them everything would be dropped.
    if (ids.size === 0) return false;
    const slots = buildSlots(
      this.#members.map(({ id }) => id),
      ids,
      SLOT_COUNT,
    );
    const active = this.#active;
    if (slots.every((hop, slot) => this.#halves[active][slot] === hop)) return false;
    const next = active === 0 ? 1 : 0;
    this.#halves[next].set(slots);
    Atomics.add(this.#words, this.#index.version, 1);
    // The one store that makes it true: each packet meets the old table or the new one, never a mixture.
    Atomics.store(this.#words, this.#index.active, next);
    return true;
  }

  /** The table in force. */
  table(): SteeringTable {
    const slots = [...this.#halves[this.#active]];
    const used = new Set(slots);
    const proxies = this.#members.map(({ name }) => name);
    return {
      live: proxies.filter((_, index) => used.has(index)),
      seed: this.seed,
      version: this.version,
      slots,
      proxies,
    };
  }
}
