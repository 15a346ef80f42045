/** Pins: names in a BPF file system that keep maps and programs alive while no process holds them. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DataplaneError, Errno } from './errors.ts';
import { objectInfo, openPin } from './kernel.ts';
import { close } from './libc.ts';
import type { BpfMapHandle } from './object.ts';

/** `BPF_FS_MAGIC` of linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * Makes the directory and checks that pins can live there.
 *
 * @throws Error that names the missing mount
 */
export function preparePinDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (cause) {
    throw new Error(`cannot make the pin directory ${directory}: ${(cause as Error).message}`, { cause });
  }
  if (statfsSync(directory).type >>> 0 !== BPF_FS_MAGIC) {
    throw new Error(
      `${directory} is not in a BPF file system, so nothing can be pinned there. Mount one: mount -t bpf bpf DIRECTORY`,
    );
  }
}

/**
 * Opens a pinned map by its path. The caller closes its `fd`.
 *
 * @returns undefined if nothing is pinned there
 * @throws Error if something else than a map is pinned there, or it may not be opened
 */
export function openPinnedMap(path: string): BpfMapHandle | undefined {
  const fd = openPin(path);
  if (fd === -Errno.ENOENT) return undefined;
  if (fd < 0) throw new DataplaneError(`cannot open the pin ${path}`, -fd);
  if (!readlinkSync(`/proc/self/fd/${fd}`).includes('bpf-map')) {
    close(fd);
    throw new Error(`what is pinned at ${path} is not a map`);
  }
  return describeMap(fd, basename(path));
}

/**
 * What the kernel knows of a map. `struct bpf_map_info` begins { type, id, key_size, value_size, max_entries, map_flags }.
 *
 * @throws DataplaneError
 */
export function describeMap(fd: number, name: string): BpfMapHandle {
  const view = mapInfo(fd, name);
  return {
    name,
    fd,
    type: view.getUint32(0, true),
    keySize: view.getUint32(8, true),
    valueSize: view.getUint32(12, true),
    maxEntries: view.getUint32(16, true),
    flags: view.getUint32(20, true),
  };
}

/**
 * Where the kernel keeps the types of a map's keys and values: the BTF and the types' ids in it; 0 where it has none. They
 * stand at byte 64 of `struct bpf_map_info`.
 *
 * @throws DataplaneError
 */
export function typesOfMap(fd: number, name: string): { id: number; key: number; value: number } {
  const view = mapInfo(fd, name);
  return { id: view.getUint32(64, true), key: view.getUint32(68, true), value: view.getUint32(72, true) };
}

function mapInfo(fd: number, name: string): DataView {
  const info = new ArrayBuffer(80);
  objectInfo(fd, info, `map ${name}`);
  return new DataView(info);
}

/**
 * Pins by way of `pin`, replacing what stands at `path` atomically: a crash leaves the old pin or the new one.
 *
 * @param pin pins at the path it is given, and answers 0 or a negative errno
 * @throws DataplaneError
 */
export function replacePin(path: string, pin: (temporary: string) => number): void {
  // No dot: a BPF file system refuses names that hold one.
  const temporary = `${path}__new`;
  rmSync(temporary, { force: true });
  const result = pin(temporary);
  if (result < 0) throw new DataplaneError(`cannot pin ${path}`, -result);
  renameSync(temporary, path);
}

const BUILD_DIGITS = 8;

/** Names one build of an object file: the same bytes, the same types and maps. */
export function buildOf(objectPath: string): string {
  return hashOf(readFileSync(objectPath));
}

/** As it stands behind a pin's name. */
export function hashOf(what: string | Uint8Array): string {
  return createHash('sha256').update(what).digest('hex').slice(0, BUILD_DIGITS);
}

/** How a map is pinned that only its own build understands (counters, configuration), or only builds with the same layouts. */
export function pinOfBuild(map: string, build: string): string {
  return `${map}_${build}`;
}

/** What stands behind the names of a map's pins, among these. */
export function pinsOf(names: readonly string[], map: string): string[] {
  const pins = new RegExp(`^${map}_([0-9a-f]{${BUILD_DIGITS}})$`);
  return names.flatMap(name => pins.exec(name)?.[1] ?? []);
}

/** Removes what other builds have pinned of these maps. Programs of theirs that are still attached hold them without pins. */
export function removeOtherBuilds(directory: string, maps: readonly string[], build: string): void {
  for (const map of maps) {
    const pins = new RegExp(`^${map}(_[0-9a-f]{${BUILD_DIGITS}})?$`);
    for (const pin of readdirSync(directory)) {
      if (pins.test(pin) && pin !== pinOfBuild(map, build)) rmSync(join(directory, pin));
    }
  }
}
