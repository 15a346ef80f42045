/** Where libbpf has laid a program's global variables: read from the object's BTF, so that no offset is mirrored. */
import koffi from 'koffi';
import { libbpf } from './libbpf.ts';

/** `BTF_KIND_DATASEC` of linux/btf.h. */
const KIND_DATASEC = 15;

/**
 * @param object an opened `struct bpf_object`
 * @param section e.g. `.rodata`
 * @returns a function from a variable's C name to its offset in the section; it throws if there is none
 */
export function variableOffsets(object: bigint, section: string): (variable: string) => number {
  const offsets = new Map<string, number>();
  const btf = libbpf().bpf_object__btf(object);
  const id = btf === null ? -1 : libbpf().btf__find_by_name_kind(btf, section, KIND_DATASEC);
  if (id > 0) {
    // struct btf_type { name_off, info, size }, then vlen times { type, offset, size }; vlen is the low half of info.
    const count = typeAt(btf, id, 12).getUint32(4, true) & 0xffff;
    const variables = typeAt(btf, id, 12 + count * 12);
    for (let at = 12; at < variables.byteLength; at += 12) {
      const name = typeAt(btf, variables.getUint32(at, true), 4).getUint32(0, true);
      offsets.set(libbpf().btf__name_by_offset(btf, name), variables.getUint32(at + 4, true));
    }
  }
  return variable => {
    const offset = offsets.get(variable);
    if (offset === undefined) {
      throw new Error(
        `${section} has no variable ${variable}; it has ${[...offsets.keys()].join(', ') || 'none'}`,
      );
    }
    return offset;
  };
}

function typeAt(btf: bigint | null, id: number, length: number): DataView {
  return new DataView(koffi.view(libbpf().btf__type_by_id(btf, id), length));
}
