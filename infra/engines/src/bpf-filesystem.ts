import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { command } from './command.ts';
import { type Place, pinDirectoryOf } from './place.ts';

export async function mountBpf({ bpfDirectory }: Place): Promise<void> {
  mkdirSync(bpfDirectory, { recursive: true });
  await command('mount', ['-t', 'bpf', 'bpf', bpfDirectory]);
}

/** Mount points at or below the run directory, the last mounted first. */
export function mountsIn(
  { runDirectory }: Place,
  mountInfo = readFileSync('/proc/self/mountinfo', 'utf8'),
): string[] {
  return mountInfo
    .split('\n')
    .map(line => line.split(' ')[4] ?? '')
    .filter(point => point === runDirectory || point.startsWith(`${runDirectory}/`))
    .reverse();
}

/** Everything mounted there, however often. Lazily, since a pinned object may still be in somebody's hands. */
export async function unmountAll(place: Place): Promise<void> {
  for (const point of mountsIn(place)) await command('umount', ['-l', point], { anyExit: true });
}

/** A machine that is gone keeps nothing pinned. */
export function removePins(place: Place, component: string): void {
  const directory = pinDirectoryOf(place, component);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}
