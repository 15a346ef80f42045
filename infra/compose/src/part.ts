// One process of a host, in a container: what it reads at its start is written from the topology, then it runs.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { ownPrograms } from '@resplice/engines';
import {
  type DaemonConfig,
  type DaemonProcess,
  daemonConfig,
  type Host,
  type HostProcess,
  hostNamed,
  kitConfig,
  type Topology,
} from '@resplice/topology';
import { hangUp } from './hang-up.ts';
import { type KeyBundle, keyFileOf } from './keys.ts';
import { knownTopology } from './known-deployment.ts';
import { adminSocket, configFileOf, dataDirectory, pinDirectory, runDirectory } from './paths.ts';

type Runnable = Extract<HostProcess, { kind: 'daemon' | 'site' | 'service' }>;

export function partOf(host: Host, name: string): Runnable {
  const found = host.processes.find(each => each.name === name);
  if (found && found.kind !== 'server') return found;
  throw new RangeError(`${host.name} has no process named "${name}"`);
}

function jsonOf(content: unknown): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** Whoever reads it has the old file or the new one. */
function writeJson(file: string, content: unknown): void {
  writeFileSync(`${file}.next`, jsonOf(content));
  renameSync(`${file}.next`, file);
}

function configOf(topology: Topology, host: Host, part: DaemonProcess): DaemonConfig {
  return daemonConfig(topology, host, part, {
    keyFile: keyFileOf('cluster'),
    pinDirectory,
    adminSocket,
    breakpoints: runDirectory,
    data: dataDirectory,
  });
}

/** Of the file that a daemon finds, for who does not see it: a daemon tells the hash of what it follows. */
export function configHash(topology: Topology, host: Host, part: DaemonProcess): string {
  return createHash('sha256')
    .update(jsonOf(configOf(topology, host, part)))
    .digest('hex');
}

/** @returns the program's arguments */
function prepareDaemon(topology: Topology, host: Host, part: DaemonProcess): string[] {
  const file = configFileOf(part.name);
  writeJson(file, configOf(topology, host, part));
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
  const kit = prepareKit(topology, host, part);
  return {
    ...part.environment,
    ...Object.fromEntries(secrets),
    ...(kit === undefined ? {} : { RESPLICE_KIT: kit, RESPLICE_BREAKPOINTS: runDirectory }),
  };
}

/** @returns the file from which its kit learns who there is; undefined: it has none */
function prepareKit(topology: Topology, host: Host, { kind, name }: Runnable): string | undefined {
  if (kind !== 'site' || name !== 'webmail') return undefined;
  const file = configFileOf('kit');
  writeJson(file, kitConfig(topology, host, keyFileOf('kit')));
  return file;
}

function spawnPart(topology: Topology, host: Host, name: string): ChildProcess {
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

/** Who hears of a process's end. */
interface Observer {
  ended(exitCode: number): void;
  failed(error: Error): void;
}

/** A process of the host that runs here, and is replaced when that is asked for. */
export class Part {
  readonly #component: string;
  readonly #name: string;
  readonly #observer: Observer;
  #child: ChildProcess | undefined;
  /** Another one is started when this one has ended. */
  #isLeaving = false;

  constructor(component: string, name: string, observer: Observer) {
    this.#component = component;
    this.#name = name;
    this.#observer = observer;
  }

  #known(): { topology: Topology; host: Host } {
    const topology = knownTopology();
    const host = hostNamed(topology, this.#component);
    if (!host) throw new RangeError(`${this.#component} is no part of the deployment any more`);
    return { topology, host };
  }

  start(): void {
    const { topology, host } = this.#known();
    const child = spawnPart(topology, host, this.#name);
    this.#child = child;
    this.#isLeaving = false;
    child.once('error', error => this.#observer.failed(error));
    child.once('exit', (code, signal) => {
      if (!this.#isLeaving) this.#observer.ended(code ?? 128 + constants.signals[signal!]);
      else this.start();
    });
  }

  /** A daemon takes what is known now over, or says that it cannot; so does an application's kit. Others have read all that they need at their start. */
  follow(): void {
    const { topology, host } = this.#known();
    const part = partOf(host, this.#name);
    if (part.kind === 'daemon') {
      prepareDaemon(topology, host, part);
      if (this.#child) void hangUp(this.#child, adminSocket);
    } else prepareKit(topology, host, part);
  }

  replace(): void {
    this.#known();
    this.#isLeaving = true;
    this.#child?.kill('SIGTERM');
  }

  stop(signal: NodeJS.Signals): void {
    this.#isLeaving = false;
    this.#child?.kill(signal);
  }
}
