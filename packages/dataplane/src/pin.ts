/** Pins: names in a BPF file system that keep maps and programs alive while no process holds them. */
import { mkdirSync, readlinkSync, renameSync, rmSync, statfsSync } from 'node:fs';
import { basename } from 'node:path';
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
  const info = new ArrayBuffer(64);
  objectInfo(fd, info, `map ${name}`);
  const view = new DataView(info);
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
 * Compares a pin with the map that wants to re-use it.
 *
 * @throws Error that names the pin and every difference
 */
export function checkPin(path: string, pinned: BpfMapHandle, wanted: Omit<BpfMapHandle, 'fd'>): void {
  const differences = (['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const)
    .filter(field => pinned[field] !== wanted[field])
    .map(field => `${field} is ${pinned[field]}, wanted ${wanted[field]}`);
  if (differences.length === 0) return;
  throw new Error(
    `the map pinned at ${path} is incompatible: ${differences.join('; ')}. ` +
      'It was left by another version or configuration; remove the pin to start afresh (its entries are lost)',
  );
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
