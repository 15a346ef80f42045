/** BPF maps by bpf(2): one system call an operation, no allocation but the value that is read. */
import { DataplaneError, Errno } from './errors.ts';
import { addressOf, BpfCommand, bpf, MAP_FLAG_MMAPABLE, MapType } from './kernel.ts';
import type { Layout } from './layout.ts';
import { libbpf } from './libbpf.ts';
import { mapShared, PROT_READ, PROT_WRITE } from './libc.ts';
import type { BpfMapHandle } from './object.ts';

/** `any` creates or replaces, `new` only creates, `exist` only replaces. */
export type UpdateFlag = 'any' | 'new' | 'exist';
const UPDATE_FLAG = { any: 0n, new: 1n, exist: 2n } as const;

const PER_CPU: readonly number[] = [MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH];
/** Entries that `entries` asks for at a time, at first. */
const BATCH = 256;

/** A map whose keys and values are C structs. */
export class BpfMap<K, V> {
  readonly name: string;
  readonly #handle: BpfMapHandle;
  readonly #keyLayout: Layout<K>;
  readonly #valueLayout: Layout<V>;
  readonly #key: DataView<ArrayBuffer>;
  readonly #value: DataView<ArrayBuffer>;
  /** `struct { __u32 map_fd; __u64 key, value, flags; }` */
  readonly #attribute: DataView<ArrayBuffer>;

  /** @throws Error if the layouts' sizes are not the map's: then the layouts belong to another program */
  constructor(handle: BpfMapHandle, keyLayout: Layout<K>, valueLayout: Layout<V>) {
    if (PER_CPU.includes(handle.type)) {
      throw new Error(`map ${handle.name} has a value per CPU: read it through Counters`);
    }
    if (handle.keySize !== keyLayout.size || handle.valueSize !== valueLayout.size) {
      throw new Error(
        `map ${handle.name} has keys of ${handle.keySize} and values of ${handle.valueSize} bytes, ` +
          `the layouts ${keyLayout.size} and ${valueLayout.size}. Generate the layouts anew`,
      );
    }
    this.name = handle.name;
    this.#handle = handle;
    this.#keyLayout = keyLayout;
    this.#valueLayout = valueLayout;
    this.#key = new DataView(new ArrayBuffer(handle.keySize));
    this.#value = new DataView(new ArrayBuffer(handle.valueSize));
    this.#attribute = new DataView(new ArrayBuffer(32));
    this.#attribute.setUint32(0, handle.fd, true);
    this.#attribute.setBigUint64(8, addressOf(this.#key.buffer), true);
    this.#attribute.setBigUint64(16, addressOf(this.#value.buffer), true);
  }

  /** @returns undefined if there is no such entry */
  get(key: K): V | undefined {
    this.#keyLayout.write(this.#key, 0, key);
    return this.#call(BpfCommand.MAP_LOOKUP_ELEM, 0n, Errno.ENOENT, 'read')
      ? this.#valueLayout.read(this.#value, 0)
      : undefined;
  }

  /**
   * @returns false if the flag's condition was not met
   * @throws DataplaneError, e.g. E2BIG when the map is full
   */
  set(key: K, value: V, flag: UpdateFlag = 'any'): boolean {
    this.#keyLayout.write(this.#key, 0, key);
    new Uint8Array(this.#value.buffer).fill(0);
    this.#valueLayout.write(this.#value, 0, value);
    const unmet = { any: 0, new: Errno.EEXIST, exist: Errno.ENOENT }[flag];
    return this.#call(BpfCommand.MAP_UPDATE_ELEM, UPDATE_FLAG[flag], unmet, 'write');
  }

  /** @returns whether there was such an entry */
  delete(key: K): boolean {
    this.#keyLayout.write(this.#key, 0, key);
    return this.#call(BpfCommand.MAP_DELETE_ELEM, 0n, Errno.ENOENT, 'delete from');
  }

  /**
   * All entries, in no order. Entries that come or go meanwhile may be seen or not; the others are seen exactly once,
   * because the kernel walks bucket by bucket (following a deleted key would start over). Deleting what was just seen is
   * fine.
   */
  *entries(): Generator<[K, V], void, undefined> {
    const { keySize, valueSize } = this.#handle;
    const position = new ArrayBuffer(Math.max(keySize, 4));
    for (let size = BATCH, first = true; ; ) {
      const keys = new DataView(new ArrayBuffer(size * keySize));
      const values = new DataView(new ArrayBuffer(size * valueSize));
      const { count, errno } = this.#batch(position, first, keys, values, size);
      if (errno === Errno.ENOSPC) {
        // One bucket alone holds more than the batch: nothing was read.
        size *= 4;
        continue;
      }
      if (errno !== 0 && errno !== Errno.ENOENT) {
        throw new DataplaneError(`cannot list map ${this.name}`, errno);
      }
      for (let i = 0; i < count; i++) {
        yield [this.#keyLayout.read(keys, i * keySize), this.#valueLayout.read(values, i * valueSize)];
      }
      if (errno === Errno.ENOENT) return;
      first = false;
    }
  }

  /** `struct { __u64 in_batch, out_batch, keys, values; __u32 count, map_fd; __u64 elem_flags, flags; }` */
  #batch(
    position: ArrayBuffer,
    first: boolean,
    keys: DataView<ArrayBuffer>,
    values: DataView<ArrayBuffer>,
    size: number,
  ) {
    const attribute = new DataView(new ArrayBuffer(56));
    attribute.setBigUint64(0, first ? 0n : addressOf(position), true);
    attribute.setBigUint64(8, addressOf(position), true);
    attribute.setBigUint64(16, addressOf(keys.buffer), true);
    attribute.setBigUint64(24, addressOf(values.buffer), true);
    attribute.setUint32(32, size, true);
    attribute.setUint32(36, this.#handle.fd, true);
    const result = bpf(BpfCommand.MAP_LOOKUP_BATCH, attribute.buffer);
    return { count: attribute.getUint32(32, true), errno: result < 0 ? -result : 0 };
  }

  #call(command: number, flags: bigint, expected: number, verb: string): boolean {
    this.#attribute.setBigUint64(24, flags, true);
    // To delete, the attribute ends behind the key.
    const result = bpf(command, this.#attribute.buffer, command === BpfCommand.MAP_DELETE_ELEM ? 16 : 32);
    if (result >= 0) return true;
    if (-result === expected) return false;
    throw new DataplaneError(`cannot ${verb} map ${this.name}`, -result);
  }
}

/** Named 64-bit counters in a BPF_MAP_TYPE_PERCPU_ARRAY, one slot a name. */
export class Counters {
  readonly #handle: BpfMapHandle;
  readonly #names: readonly string[];
  readonly #key = new Uint32Array(new ArrayBuffer(4));
  readonly #values: BigUint64Array<ArrayBuffer>;
  readonly #attribute = new DataView(new ArrayBuffer(32));

  /**
   * @param names what slot 0, 1, … counts
   * @throws Error if the map is of another type or has fewer slots than there are names
   */
  constructor(handle: BpfMapHandle, names: readonly string[]) {
    if (handle.type !== MapType.PERCPU_ARRAY || handle.valueSize !== 8) {
      throw new Error(`map ${handle.name} is not a per-CPU array of 64-bit counters`);
    }
    if (names.length > handle.maxEntries) {
      throw new Error(`map ${handle.name} has ${handle.maxEntries} counters for ${names.length} names`);
    }
    this.#handle = handle;
    this.#names = names;
    this.#values = new BigUint64Array(new ArrayBuffer(8 * possibleCpus()));
    this.#attribute.setUint32(0, handle.fd, true);
    this.#attribute.setBigUint64(8, addressOf(this.#key.buffer), true);
    this.#attribute.setBigUint64(16, addressOf(this.#values.buffer), true);
  }

  /** The sums over all CPUs; exact up to 2^53. @throws DataplaneError */
  read(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const [slot, name] of this.#names.entries()) {
      this.#key[0] = slot;
      const result = bpf(BpfCommand.MAP_LOOKUP_ELEM, this.#attribute.buffer);
      if (result < 0)
        throw new DataplaneError(`cannot read counter ${name} of map ${this.#handle.name}`, -result);
      sums[name] = Number(this.#values.reduce((sum, value) => sum + value, 0n));
    }
    return sums;
  }
}

function possibleCpus(): number {
  const count = libbpf().libbpf_num_possible_cpus();
  if (count < 0) throw new DataplaneError('cannot count the possible CPUs', -count);
  return count;
}

/**
 * The values of an array (or `.bss`, `.data`) as memory that is shared with the BPF programs: loads and stores instead of
 * system calls. It stays mapped for the life of the process.
 *
 * @throws Error if the map was not declared BPF_F_MMAPABLE
 */
export function mapMemory(handle: BpfMapHandle): ArrayBuffer {
  if (handle.type !== MapType.ARRAY || !(handle.flags & MAP_FLAG_MMAPABLE)) {
    throw new Error(`map ${handle.name} cannot be mapped: declare it as an array with BPF_F_MMAPABLE`);
  }
  const stride = (handle.valueSize + 7) & ~7;
  return mapShared(handle.fd, stride * handle.maxEntries, PROT_READ | PROT_WRITE, 0, `map ${handle.name}`)
    .memory;
}
