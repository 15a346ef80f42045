/** C types as the BPF Type Format holds them, read by way of `bpftool` (Documentation/bpf/btf.rst). Build time only. */
import { execFileSync } from 'node:child_process';

/** A type that a layout can hold, with typedefs and qualifiers resolved. */
export type CType =
  | { kind: 'integer'; bytes: 1 | 2 | 4 | 8; signed: boolean; networkOrder: boolean }
  | { kind: 'boolean' }
  | { kind: 'array'; element: CType; length: number; stride: number }
  | { kind: 'struct'; name: string };

export interface CField {
  name: string;
  /** Bytes from the start of the struct. */
  offset: number;
  type: CType;
}

export interface CStruct {
  name: string;
  size: number;
  fields: CField[];
}

export interface CEnum {
  name: string;
  /** In the order of their declaration. */
  values: { name: string; value: number }[];
}

interface RawType {
  id: number;
  kind: string;
  name: string;
  size?: number;
  type_id?: number;
  nr_elems?: number;
  encoding?: string;
  members?: { name: string; type_id: number; bits_offset: number; bitfield_size?: number }[];
  values?: { name: string; val: number }[];
}

/** Typedefs of linux/types.h by which a C programmer says "as on the wire". */
const NETWORK_ORDER = new Set(['__be16', '__be32', '__be64']);
const TRANSPARENT = new Set(['TYPEDEF', 'CONST', 'VOLATILE', 'RESTRICT', 'TYPE_TAG']);
const ANONYMOUS = '(anon)';

/** The types of one object file. */
export class Btf {
  readonly path: string;
  readonly #types: Map<number, RawType>;

  /** All types as text: equal for equal types, whatever the line numbers and paths. */
  readonly fingerprint: string;

  /** @throws Error if bpftool is missing or the file has no BTF (it was compiled without `-g`) */
  constructor(path: string) {
    this.path = path;
    const dump = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', path], {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    });
    const { types } = JSON.parse(dump) as { types: RawType[] };
    this.fingerprint = JSON.stringify(types);
    this.#types = new Map(types.map(type => [type.id, type]));
  }

  /** @returns undefined if the file has no such struct */
  struct(name: string): CStruct | undefined {
    const raw = this.#named('STRUCT', name);
    return raw && { name, size: raw.size ?? 0, fields: this.#fields(raw, 0) };
  }

  /** @returns undefined if the file has no such enum */
  enum(name: string): CEnum | undefined {
    const raw = this.#named('ENUM', name);
    return raw && { name, values: (raw.values ?? []).map(({ name, val }) => ({ name, value: val })) };
  }

  #named(kind: string, name: string): RawType | undefined {
    return this.#types.values().find(type => type.kind === kind && type.name === name);
  }

  #fields(struct: RawType, base: number): CField[] {
    return (struct.members ?? []).flatMap(member => {
      const where = `${struct.name}.${member.name} in ${this.path}`;
      const offset = base + member.bits_offset / 8;
      if (member.bitfield_size || !Number.isInteger(offset))
        throw new Error(`${where} is a bit field: not supported`);
      const target = this.#resolve(member.type_id).type;
      // The members of an anonymous struct are its parent's in C, too.
      if (member.name === ANONYMOUS && target.kind === 'STRUCT') return this.#fields(target, offset);
      // What lies behind the struct (`__u8 data[]`) is no part of it.
      if (target.kind === 'ARRAY' && target.nr_elems === 0) return [];
      return [{ name: member.name, offset, type: this.#type(member.type_id, where) }];
    });
  }

  #type(id: number, where: string): CType {
    const { type, networkOrder } = this.#resolve(id);
    if (type.kind === 'INT' && type.encoding === 'BOOL') return { kind: 'boolean' };
    if (type.kind === 'INT' || type.kind === 'ENUM' || type.kind === 'ENUM64') {
      const signed = type.encoding === 'SIGNED' || type.encoding === 'CHAR';
      const bytes = type.size;
      if (bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8) {
        return { kind: 'integer', bytes, signed, networkOrder };
      }
    }
    if (type.kind === 'ARRAY') {
      const element = this.#type(type.type_id ?? 0, where);
      return { kind: 'array', element, length: type.nr_elems ?? 0, stride: this.#size(type.type_id ?? 0) };
    }
    if (type.kind === 'STRUCT' && type.name !== ANONYMOUS) return { kind: 'struct', name: type.name };
    throw new Error(`${where} is a ${type.kind.toLowerCase()}: not supported in a layout`);
  }

  #size(id: number): number {
    const { type } = this.#resolve(id);
    return type.kind === 'ARRAY' ? (type.nr_elems ?? 0) * this.#size(type.type_id ?? 0) : (type.size ?? 0);
  }

  #resolve(id: number): { type: RawType; networkOrder: boolean } {
    let networkOrder = false;
    for (let type = this.#types.get(id); type; type = this.#types.get(type.type_id ?? 0)) {
      networkOrder ||= NETWORK_ORDER.has(type.name);
      if (!TRANSPARENT.has(type.kind)) return { type, networkOrder };
    }
    throw new Error(`${this.path}: BTF type ${id} leads nowhere`);
  }
}
