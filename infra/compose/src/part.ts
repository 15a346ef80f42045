// One process of a host, in a container: what it reads at its start is written from the topology, then it runs.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { ownPrograms } from '@resplice/engines';
import { daemonConfig, type Host, type HostProcess, kitConfig, type Topology } from '@resplice/topology';
import { type KeyBundle, keyFileOf } from './keys.ts';
import { adminSocket, configFileOf, dataDirectory, pinDirectory, runDirectory } from './paths.ts';

type Runnable = Extract<HostProcess, { kind: 'daemon' | 'site' | 'service' }>;

export function partOf(host: Host, name: string): Runnable {
  const found = host.processes.find(each => each.name === name);
  if (found && found.kind !== 'server') return found;
  throw new RangeError(`${host.name} has no process named "${name}"`);
}

function writeJson(file: string, content: unknown): void {
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
}

/** @returns the program's arguments */
function prepareDaemon(
  topology: Topology,
  host: Host,
  part: Extract<Runnable, { kind: 'daemon' }>,
): string[] {
  const file = configFileOf(part.name);
  const paths = {
    keyFile: keyFileOf('cluster'),
    pinDirectory,
    adminSocket,
    breakpoints: runDirectory,
    data: dataDirectory,
  };
  writeJson(file, daemonConfig(topology, host, part, paths));
  return ['--config', file];
}

/** Secrets stand in files; these programs take them from their surroundings. */
export function surroundingsOf(
  topology: Topology,
  host: Host,
  part: Exclude<Runnable, { kind: 'daemon' }>,
): Record<string, string> {
  const secrets = Object.entries(part.secrets ?? {}).map(([variable, secret]) => [
    variable,
    readFileSync(keyFileOf(part.name as KeyBundle, secret), 'latin1'),
  ]);
  const kit = configFileOf('kit');
  const hasKit = part.kind === 'site' && part.name === 'webmail';
  if (hasKit) writeJson(kit, kitConfig(topology, host, keyFileOf('kit')));
  return {
    ...part.environment,
    ...Object.fromEntries(secrets),
    ...(hasKit ? { RESPLICE_KIT: kit, RESPLICE_BREAKPOINTS: runDirectory } : {}),
  };
}

export function startPart(topology: Topology, host: Host, name: string): ChildProcess {
  const part = partOf(host, name);
  if (part.kind === 'daemon') {
    const args = prepareDaemon(topology, host, part);
    return spawn(process.execPath, [ownPrograms(part.app), ...args], { stdio: 'inherit' });
  }
  if (part.name === 'app') throw new RangeError(`${host.name}: a command of the user's has no image`);
  return spawn(process.execPath, [ownPrograms(part.name)], {
    stdio: 'inherit',
    env: { ...process.env, ...surroundingsOf(topology, host, part) },
  });
}
