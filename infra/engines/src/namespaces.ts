import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, command } from './command.ts';
import { netnsDirectory, type Place } from './place.ts';
import { namespaceInode } from './process-table.ts';

export interface BatchOptions {
  /** The namespace to work in; without it, the caller's. */
  readonly netns?: string;
  /** Go on after a line that fails with a message like this; any other message is an error still. */
  readonly tolerate?: RegExp;
}

/** What a repeated or interrupted removal meets. */
export const alreadyGone = /No such device|Cannot find (bridge )?device/;

/** Feeds `ip`, `bridge` or `tc` many lines at once: one process instead of one a line. @throws CommandError */
export async function batch(
  tool: 'ip' | 'bridge' | 'tc',
  lines: readonly string[],
  { netns, tolerate }: BatchOptions = {},
): Promise<void> {
  if (lines.length === 0) return;
  const args = [...(netns ? ['-n', netns] : []), ...(tolerate ? ['-force'] : []), '-batch', '-'];
  const input = lines.map(line => `${line}\n`).join('');
  const { code, stderr } = await command(tool, args, { input, anyExit: tolerate !== undefined });
  if (!tolerate || code === 0) return;
  const complaints = stderr.split('\n').filter(line => line !== '' && !line.startsWith('Command failed'));
  if (!complaints.every(line => tolerate.test(line))) {
    throw new CommandError([tool, ...args].join(' '), code, complaints.join('\n'));
  }
}

export async function addNamespaces(names: readonly string[]): Promise<void> {
  await batch(
    'ip',
    names.map(name => `netns add ${name}`),
  );
}

/** The names of this place's namespaces, half-made ones too. */
export function namespacesOf({ netnsPrefix }: Place): string[] {
  try {
    return readdirSync(netnsDirectory).filter(name => name.startsWith(netnsPrefix));
  } catch {
    return [];
  }
}

export function inodesOf(names: readonly string[]): ReadonlySet<number> {
  return new Set(
    names.map(name => namespaceInode(join(netnsDirectory, name))).filter(inode => inode !== undefined),
  );
}

export async function deleteNamespaces(names: readonly string[]): Promise<void> {
  await batch(
    'ip',
    names.map(name => `netns del ${name}`),
    { tolerate: /Cannot remove namespace file/ },
  );
  // `ip netns del` refuses a name that nothing is mounted on: what an interrupted `ip netns add` leaves.
  for (const name of names) {
    try {
      unlinkSync(join(netnsDirectory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
