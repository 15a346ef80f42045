import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs';
import {
  daemonConfig,
  type Host,
  type HostProcess,
  kitConfig,
  serverConfig,
  type Topology,
} from '@resplice/topology';
import { searchPath } from './command.ts';
import type { BackendCommand } from './lab-state.ts';
import {
  componentDirectoryOf,
  dataDirectoryOf,
  kitFilesOf,
  netnsPathOf,
  type Place,
  pinDirectoryOf,
  processFilesOf,
} from './place.ts';
import { type ProcessIdentity, processEntry } from './process-table.ts';
import type { Programs } from './programs.ts';
import { kitKeyOf, secretsOf } from './secrets.ts';

export interface LaunchContext {
  readonly place: Place;
  readonly topology: Topology;
  readonly programs: Programs;
  readonly backendCommand: BackendCommand | null;
}

/**
 * Runs a server for ever: started again one second after each exit. It leads a session of its own, so that a crash
 * takes it along with the server.
 */
const keeper = `while :; do
  "$@"
  echo "resplice: exited with $?, starting again in one second" >&2
  sleep 1
done`;

interface Launch {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
}

function ownEnvironment(): Record<string, string> {
  const { HOME = '/root', NODE_COMPILE_CACHE } = process.env;
  return { PATH: searchPath(), HOME, LANG: 'C.UTF-8', ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }) };
}

/** Only our own tier gives an application's kit what it needs. */
function hasKit({ kit }: Topology, what: HostProcess): boolean {
  return what.kind === 'site' && kit;
}

function launchOf(context: LaunchContext, host: Host, what: HostProcess): Launch {
  const { place, topology, programs, backendCommand } = context;
  if (what.kind === 'daemon') {
    const { config } = processFilesOf(place, host.name, what.name);
    return {
      args: [process.execPath, programs(what.app), '--config', config],
      environment: ownEnvironment(),
      directory: '/',
    };
  }
  if (what.kind === 'server') {
    const { serverConfig: file } = processFilesOf(place, host.name, what.name);
    const args =
      what.name === 'haproxy' ? ['haproxy', '-db', '-f', file] : ['nginx', '-e', 'stderr', '-c', file];
    return { args, environment: ownEnvironment(), directory: '/' };
  }
  const given = {
    ...what.environment,
    ...secretsOf(place, what.secrets),
    ...(hasKit(topology, what) ? { RESPLICE_KIT: kitFilesOf(place, host.name).config } : {}),
    ...(what.name === 'webmail' ? { RESPLICE_BREAKPOINTS: componentDirectoryOf(place, host.name) } : {}),
  };
  const kept = (...command: string[]) => ['sh', '-c', keeper, 'resplice-keeper', ...command];
  if (what.name !== 'app') {
    return {
      args: kept(process.execPath, programs(what.name)),
      environment: { ...ownEnvironment(), ...given },
      directory: '/',
    };
  }
  if (!backendCommand) throw new Error(`${host.name}/${what.name}: no back-end command is known`);
  return {
    args: kept('sh', '-c', backendCommand.command),
    environment: { ...backendCommand.environment, ...given },
    directory: backendCommand.directory,
  };
}

/** Writes what the process reads at its start. */
export function writeConfig(
  { place, topology }: Pick<LaunchContext, 'place' | 'topology'>,
  host: Host,
  what: HostProcess,
): void {
  const { config, serverConfig: file, socket } = processFilesOf(place, host.name, what.name);
  if (what.kind === 'server') {
    writeFileSync(file, serverConfig(topology, what.name, componentDirectoryOf(place, host.name)));
  }
  if (hasKit(topology, what)) {
    const kit = kitFilesOf(place, host.name);
    writeFileSync(kit.key, kitKeyOf(place), { mode: 0o600 });
    replace(kit.config, kitConfig(topology, host, kit.key));
  }
  if (what.kind !== 'daemon') return;
  const content = daemonConfig(topology, host, what, {
    keyFile: place.keyFile,
    pinDirectory: pinDirectoryOf(place, host.name),
    adminSocket: socket,
    breakpoints: componentDirectoryOf(place, host.name),
    data: dataDirectoryOf(place, host.name),
  });
  replace(config, content);
}

/** Whoever reads it has the old file or the new one. */
function replace(file: string, content: unknown): void {
  writeFileSync(`${file}.next`, `${JSON.stringify(content, null, 2)}\n`);
  renameSync(`${file}.next`, file);
}

/**
 * Starts one process in its host's place, in a session of its own, its output appended to its log.
 * @returns who it is; `nsenter` becomes the program, so its pid is the program's
 */
export async function launch(
  context: LaunchContext,
  host: Host,
  what: HostProcess,
): Promise<ProcessIdentity> {
  const { place } = context;
  mkdirSync(componentDirectoryOf(place, host.name), { recursive: true });
  writeConfig(context, host, what);
  const { args, environment, directory } = launchOf(context, host, what);
  const log = openSync(processFilesOf(place, host.name, what.name).log, 'a');
  try {
    const child = spawn('nsenter', [`--net=${netnsPathOf(place, host.name)}`, '--', ...args], {
      cwd: directory,
      env: environment,
      detached: true,
      stdio: ['ignore', log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', cause =>
        reject(new Error(`${host.name}/${what.name} cannot be started in ${directory}`, { cause })),
      );
    });
    child.unref();
    const entry = processEntry(child.pid!);
    // Gone already: the start time no longer matters, the pid is for the log.
    return { pid: child.pid!, startTime: entry?.startTime ?? 0 };
  } finally {
    closeSync(log);
  }
}
