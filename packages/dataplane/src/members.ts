/** What a C type consists of, as BTF tells it: of an object file, or of a map that another build has left in the kernel. */
import koffi from 'koffi';
import { libbpf } from './libbpf.ts';

/** Kinds of linux/btf.h that this reads. */
const KIND_STRUCT = 4;
const KIND_UNION = 5;
const KIND_ENUM = 6;
/** typedef, volatile, const, restrict: names for another type. */
const NAMES: readonly number[] = [8, 9, 10, 11];

/** One scalar or array of a type. */
export interface Member {
  /** Its name, with those of the structs around it (`clock.keys`); empty for a type that is no struct. */
  readonly name: string;
  /** Bytes from the type's beginning. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * @param btf a `struct btf`
 * @param id of the type in it
 */
export function membersOf(btf: bigint, id: number): Member[] {
  return [...walk(btf, id, '', 0)];
}

/** What programs must agree on that exchange such a thing. */
export type TypeLayout =
  | { kind: 'struct'; size: number; members: Member[] }
  | { kind: 'enum'; values: [name: string, value: number][] };

/**
 * @param name of a struct or an enum in C
 * @returns undefined if there is no such type
 */
export function layoutOfType(btf: bigint, name: string): TypeLayout | undefined {
  const struct = libbpf().btf__find_by_name_kind(btf, name, KIND_STRUCT);
  if (struct > 0) {
    const size = Number(libbpf().btf__resolve_size(btf, struct));
    return { kind: 'struct', size, members: membersOf(btf, struct) };
  }
  const id = libbpf().btf__find_by_name_kind(btf, name, KIND_ENUM);
  if (id <= 0) return undefined;
  const count = typeAt(btf, id, 12).getUint32(4, true) & 0xffff;
  // struct btf_enum { name_off, val }
  const view = typeAt(btf, id, 12 + count * 8);
  const values = Array.from({ length: count }, (_, i): [string, number] => [
    libbpf().btf__name_by_offset(btf, view.getUint32(12 + i * 8, true)),
    view.getInt32(16 + i * 8, true),
  ]);
  return { kind: 'enum', values };
}

function* walk(btf: bigint, id: number, name: string, offset: number): Generator<Member> {
  // struct btf_type { name_off, info, size or type }; kind and vlen are parts of info.
  const head = typeAt(btf, id, 12);
  const info = head.getUint32(4, true);
  const kind = (info >>> 24) & 31;
  if (NAMES.includes(kind)) {
    yield* walk(btf, head.getUint32(8, true), name, offset);
  } else if (kind === KIND_STRUCT || kind === KIND_UNION) {
    const count = info & 0xffff;
    const isBitfield = info >>> 31 === 1;
    // struct btf_member { name_off, type, offset in bits }
    const members = typeAt(btf, id, 12 + count * 12);
    for (let at = 12; at < members.byteLength; at += 12) {
      const own = libbpf().btf__name_by_offset(btf, members.getUint32(at, true));
      const bits = members.getUint32(at + 8, true);
      if (isBitfield && bits >>> 24 !== 0) throw new Error(`${own} is a bit field: give it bytes of its own`);
      const inner = offset + (bits & 0xffffff) / 8;
      yield* walk(btf, members.getUint32(at + 4, true), name ? `${name}.${own}` : own, inner);
    }
  } else {
    yield { name, offset, size: Number(libbpf().btf__resolve_size(btf, id)) };
  }
}

function typeAt(btf: bigint, id: number, length: number): DataView {
  const type = libbpf().btf__type_by_id(btf, id);
  if (type === null) throw new Error(`BTF has no type ${id}`);
  return new DataView(koffi.view(type, length));
}
