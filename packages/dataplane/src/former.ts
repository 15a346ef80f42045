/** Shared maps that a build has left which lays them out otherwise: what they hold, as this build would have it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { libbpf } from './libbpf.ts';
import { close } from './libc.ts';
import { layoutOfType, type TypeLayout } from './members.ts';
import type { BpfMapHandle } from './object.ts';
import { openPinnedMap, pinsOf, typesOfMap } from './pin.ts';

/** Makes of a value, as the former build laid it out, this build's. */
export interface Translation {
  /** Bytes of one in the former build. */
  readonly formerSize: number;
  /** Where the former build has a member, by its name in C; undefined: it had none. */
  offsetOf(member: string): number | undefined;
  /** @param value one, `formerSize` bytes @returns what this build knows and the former one did not is zero */
  translate(value: Uint8Array): Uint8Array;
}

export class FormerMaps {
  readonly #maps: ReadonlyMap<string, BpfMapHandle>;
  readonly #translations: ReadonlyMap<string, Translation>;

  constructor(maps: ReadonlyMap<string, BpfMapHandle>, translations: ReadonlyMap<string, Translation>) {
    this.#maps = maps;
    this.#translations = translations;
  }

  /** The former programs may still work on it. */
  map(name: string): BpfMapHandle {
    return this.#maps.get(name)!;
  }

  /** @param type a struct's name in C */
  translation(type: string): Translation {
    return this.#translations.get(type)!;
  }

  close(): void {
    for (const { fd } of this.#maps.values()) close(fd);
  }
}

/**
 * Opens what another build has left of these maps. Nothing, if this build's own stand there: they are in use.
 *
 * @param own as {@link layoutOfType} has it, by name
 * @param mark behind the names of this build's own pins
 * @returns a string: why what is there cannot be translated
 */
export function openFormer(
  directory: string,
  maps: readonly string[],
  own: ReadonlyMap<string, TypeLayout>,
  mark: string,
): FormerMaps | string | undefined {
  const marks = pinsOf(readdirSync(directory), maps[0]!);
  const [former, ...more] = marks;
  // More than one: a start was cut off, and nobody can tell which of them is the latest.
  if (former === undefined || more.length > 0 || former === mark) return undefined;
  const opened = new Map<string, BpfMapHandle>();
  for (const name of maps) {
    const map = openPinnedMap(join(directory, `${name}_${former}`));
    if (map) opened.set(name, { ...map, name });
  }
  const translations = opened.size < maps.length ? 'some of it is missing' : translationsOf(opened, own);
  if (typeof translations === 'object') return new FormerMaps(opened, translations);
  for (const { fd } of opened.values()) close(fd);
  return translations;
}

function translationsOf(
  maps: ReadonlyMap<string, BpfMapHandle>,
  own: ReadonlyMap<string, TypeLayout>,
): Map<string, Translation> | string {
  // One object's types stand together, with whichever of its maps has any.
  const [id] = [...maps.values()].map(({ fd, name }) => typesOfMap(fd, name).id).filter(each => each !== 0);
  const btf = id === undefined ? null : libbpf().btf__load_from_kernel_by_id(id);
  if (btf === null) return 'the kernel holds no types for it';
  try {
    const translations = new Map<string, Translation>();
    for (const [type, wanted] of own) {
      const former = layoutOfType(btf, type);
      if (former === undefined) return `it has no type ${type}`;
      const translation = translationOf(type, former, wanted);
      if (typeof translation === 'string') return translation;
      if (translation) translations.set(type, translation);
    }
    return translations;
  } finally {
    libbpf().btf__free(btf);
  }
}

/** @returns undefined for an enum, whose numbers mean the same; a string if there is no way */
function translationOf(
  type: string,
  former: TypeLayout,
  wanted: TypeLayout,
): Translation | string | undefined {
  if (former.kind === 'enum' && wanted.kind === 'enum') {
    const isKept = ([name, value]: [string, number]) =>
      wanted.values.some(each => each[0] === name && each[1] === value) ||
      !wanted.values.some(each => each[0] === name || each[1] === value);
    const other = former.values.find(each => !isKept(each));
    return other && `${other[0]} had the number ${other[1]}`;
  }
  if (former.kind === 'enum' || wanted.kind === 'enum') return `${type} was something else`;
  const moves: { from: number; to: number; size: number }[] = [];
  for (const { name, offset, size } of wanted.members) {
    const member = former.members.find(each => each.name === name);
    if (!member) continue;
    if (member.size !== size) return `${type}.${name} has ${member.size} bytes, wanted ${size}`;
    moves.push({ from: member.offset, to: offset, size });
  }
  return {
    formerSize: former.size,
    offsetOf: name => former.members.find(each => each.name === name)?.offset,
    translate(value) {
      const made = new Uint8Array(wanted.size);
      for (const { from, to, size } of moves) made.set(value.subarray(from, from + size), to);
      return made;
    },
  };
}
