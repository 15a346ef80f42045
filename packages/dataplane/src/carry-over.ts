/**
 * State that a map of another build, or of another size, has left: its entries are taken over into the new map, member by
 * member by their names. What the new build knows and the old one did not begins as zero.
 */

import type { Layout } from './layout.ts';
import { libbpf } from './libbpf.ts';
import { BpfMap } from './map.ts';
import { type Member, membersOf } from './members.ts';
import type { BpfMapHandle } from './object.ts';

/** `enum bpf_map_type`: BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH. */
const HASHES: readonly number[] = [1, 9];

/** Key and value of a map, and the sizes that it was made with. */
export interface MapShape extends Omit<BpfMapHandle, 'fd'> {
  /** Undefined where the kernel holds no types for it. */
  readonly key: readonly Member[] | undefined;
  readonly value: readonly Member[] | undefined;
}

/** @param types `struct btf` with the ids of key and value in it; 0: not known */
export function shapeOf(
  sizes: Omit<BpfMapHandle, 'fd'>,
  types: { btf: bigint | null; key: number; value: number },
): MapShape {
  const { btf, key, value } = types;
  if (btf === null || key === 0 || value === 0) return { ...sizes, key: undefined, value: undefined };
  return { ...sizes, key: membersOf(btf, key), value: membersOf(btf, value) };
}

/** As {@link shapeOf}, of a map in the kernel whose types stand in the kernel's BTF `id`. */
export function shapeInKernel(
  sizes: Omit<BpfMapHandle, 'fd'>,
  types: { id: number; key: number; value: number },
): MapShape {
  const btf = types.id === 0 ? null : libbpf().btf__load_from_kernel_by_id(types.id);
  try {
    return shapeOf(sizes, { ...types, btf });
  } finally {
    if (btf !== null) libbpf().btf__free(btf);
  }
}

/** Whether programs that were made for the one can work on the other. */
export function isSameShape(one: MapShape, other: MapShape): boolean {
  const sizes = (['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const).every(
    field => one[field] === other[field],
  );
  return sizes && sameMembers(one.key, other.key) && sameMembers(one.value, other.value);
}

function sameMembers(one: readonly Member[] | undefined, other: readonly Member[] | undefined): boolean {
  // Without types there is nothing but the sizes to go by.
  if (!one || !other) return true;
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Why the entries of `old` cannot become entries of `wanted`; undefined if they can. */
export function whyNotCarried(old: MapShape, wanted: MapShape): string | undefined {
  if (!HASHES.includes(old.type) || !HASHES.includes(wanted.type))
    return `it is of type ${old.type}, wanted ${wanted.type}`;
  if (old.keySize !== wanted.keySize || !sameMembers(old.key, wanted.key)) return 'its keys are others';
  if (!old.value || !wanted.value) {
    const same = old.valueSize === wanted.valueSize;
    return same ? undefined : `its values have ${old.valueSize} bytes, wanted ${wanted.valueSize}`;
  }
  for (const member of wanted.value) {
    const size = old.value.find(({ name }) => name === member.name)?.size;
    if (size !== undefined && size !== member.size)
      return `${member.name} has ${size} bytes, wanted ${member.size}`;
  }
  return undefined;
}

/** Entries on their way from one map to another. */
export class CarryOver {
  readonly #from: BpfMap<Uint8Array, Uint8Array>;
  readonly #to: BpfMap<Uint8Array, Uint8Array>;
  readonly #moves: readonly { from: number; to: number; size: number }[];
  readonly #size: number;

  constructor(from: BpfMapHandle, old: MapShape, to: BpfMapHandle, wanted: MapShape) {
    this.#from = new BpfMap(from, bytes(from.keySize), bytes(from.valueSize));
    this.#to = new BpfMap(to, bytes(to.keySize), bytes(to.valueSize));
    this.#size = to.valueSize;
    this.#moves =
      old.value && wanted.value
        ? wanted.value.flatMap(({ name, offset, size }) => {
            const former = old.value!.find(member => member.name === name);
            return former ? [{ from: former.offset, to: offset, size }] : [];
          })
        : [{ from: 0, to: 0, size: to.valueSize }];
  }

  /** Copies what the new map does not have. @returns how many that were @throws DataplaneError e.g. when it is full */
  copy(): number {
    let copied = 0;
    for (const [key, old] of this.#from.entries()) {
      const value = new Uint8Array(this.#size);
      for (const { from, to, size } of this.#moves) value.set(old.subarray(from, from + size), to);
      if (this.#to.set(key, value, 'new')) copied++;
    }
    return copied;
  }
}

function bytes(size: number): Layout<Uint8Array> {
  return {
    size,
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, size).slice(),
    write: (view, offset, value) => new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value),
  };
}
