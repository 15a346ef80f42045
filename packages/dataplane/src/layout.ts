/** How a C struct lies in memory. The layouts in use are generated from BTF: see `codegen.ts`. */
export interface Layout<T> {
  /** Bytes, trailing padding included. */
  readonly size: number;
  read(view: DataView, offset: number): T;
  /** Leaves padding alone: the destination must be zero there if it is to be a map's key. */
  write(view: DataView, offset: number, value: T): void;
}

/** Unsigned numbers in the byte order of the machine (little-endian on all we support). */
export const u32: Layout<number> = {
  size: 4,
  read: (view, offset) => view.getUint32(offset, true),
  write: (view, offset, value) => view.setUint32(offset, value, true),
};

export const u64: Layout<bigint> = {
  size: 8,
  read: (view, offset) => view.getBigUint64(offset, true),
  write: (view, offset, value) => view.setBigUint64(offset, value, true),
};
