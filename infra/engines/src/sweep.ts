import { existsSync, rmSync } from 'node:fs';
import { unmountAll } from './bpf-filesystem.ts';
import { readLabState } from './lab-state.ts';
import { deleteNamespaces, inodesOf, namespacesOf } from './namespaces.ts';
import type { Place } from './place.ts';
import { killFamily, killNamespaces } from './process-table.ts';

/** Is there anything of this place on the machine? */
export function hasRemains(place: Place): boolean {
  return existsSync(place.runDirectory) || namespacesOf(place).length > 0;
}

/**
 * Leaves nothing of the place behind, in whatever state it is: without a lab file, half made, or half removed
 * already. Repeating it is harmless. The lab's lock must be held.
 */
export async function sweep(place: Place): Promise<void> {
  const namespaces = namespacesOf(place);
  const started = Object.values(readLabState(place)?.processes ?? {}).flatMap(each => Object.values(each));
  // Keepers and their children first: one that has left its namespace would not be found by it.
  await Promise.all(started.map(killFamily));
  await killNamespaces(inodesOf(namespaces));
  await deleteNamespaces(namespaces);
  await unmountAll(place);
  rmSync(place.runDirectory, { recursive: true, force: true });
}
