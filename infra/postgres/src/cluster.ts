// A PostgreSQL cluster of its own: data in a temporary directory, a private Unix socket, no TCP port. Debian's default
// cluster, if there is one, is neither used nor disturbed.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findBinaries, type SystemUser, serverUser } from './installation.ts';

export interface ClusterOptions {
  /** Whether a commit survives the machine's crash; it always survives the server's. Tests end with their machine. */
  readonly durable?: boolean;
  /** Further `name=value` of postgresql.conf. */
  readonly settings?: readonly string[];
}

/** How clients find it; what `pg` takes. */
export interface ClusterAddress {
  /** Directory of the socket. */
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/** The server could not be made or started; `output` is what it said. */
export class ClusterError extends Error {
  constructor(what: string, output: string) {
    super(`postgres: ${what}; it said:\n${output.trim() || '(nothing)'}`);
    this.name = 'ClusterError';
  }
}

/** What a server says that finds a process of its predecessor's, which was killed and is about to end. */
const LEFT_OVER = 'pre-existing shared memory block';
const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 20_000;

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function endAtOnce(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It may have ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** How the server is told to end: `fast` rolls back and says goodbye, `kill` is a crash. */
export type StopMode = 'fast' | 'kill';

export class Cluster {
  readonly #binaries = findBinaries();
  readonly #user: SystemUser = serverUser();
  readonly #options: ClusterOptions;
  readonly #directory: string;
  readonly #data: string;
  #server: ChildProcess | undefined;
  #output = '';
  readonly #remove = (): void => rmSync(this.#directory, { recursive: true, force: true });

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(tmpdir(), 'resplice-pg-'));
    this.#data = join(this.#directory, 'data');
    chownSync(this.#directory, this.#user.uid, this.#user.gid);
    process.on('exit', this.#remove);
  }

  /**
   * Makes a cluster and starts it. It ends with this process, whatever ends that.
   * @throws ClusterError, NoPostgresError
   */
  static async create(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      cluster.#initialise();
      await cluster.start();
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  get address(): ClusterAddress {
    return { host: this.#directory, user: 'postgres', database: 'postgres' };
  }

  /** Of the running server's first process. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** What the server wrote to its log since it was last started. */
  get output(): string {
    return this.#output;
  }

  #initialise(): void {
    const made = spawnSync(
      join(this.#binaries, 'initdb'),
      ['--pgdata', this.#data, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8']
        // Only the directory's owner and root reach the socket: nobody need give a password there.
        .concat(this.#options.durable ? [] : ['--no-sync']),
      { ...this.#user, cwd: this.#directory, encoding: 'utf8' },
    );
    if (made.status !== 0) throw new ClusterError('initdb failed', `${made.error ?? ''}${made.stderr}`);
  }

  /**
   * Starts a stopped server; when it returns, connections are taken.
   * @throws ClusterError
   */
  async start(): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS;
    let server = this.#spawn();
    while (!this.#isReady(server)) {
      if (performance.now() > deadline) {
        throw new ClusterError(`not ready after ${START_DEADLINE_MS / 1000} s`, this.#output);
      }
      // Not before all that it said has been read.
      if (server.pid === undefined || (hasEnded(server) && server.stderr!.closed)) {
        if (!this.#output.includes(LEFT_OVER))
          throw new ClusterError('the server ended while it started', this.#output);
        server = this.#spawn();
      }
      await pause(5);
    }
  }

  #spawn(): ChildProcess {
    const settings = [
      'listen_addresses=',
      `unix_socket_directories=${this.#directory}`,
      ...(this.#options.durable ? [] : ['fsync=off', 'full_page_writes=off']),
      ...(this.#options.settings ?? []),
    ];
    // setpriv: the kernel itself ends the server when our process is gone, also by SIGKILL.
    const { uid, gid } = this.#user;
    const asUser = process.getuid!() === 0 ? [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : [];
    this.#output = '';
    const server = spawn(
      'setpriv',
      [...asUser, '--pdeathsig=INT', join(this.#binaries, 'postgres'), '-D', this.#data].concat(
        settings.flatMap(setting => ['-c', setting]),
      ),
      { cwd: this.#directory, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#server = server;
    for (const stream of [server.stdout!, server.stderr!]) {
      stream.on('data', bytes => {
        this.#output += String(bytes);
      });
    }
    server.on('error', error => {
      this.#output += String(error);
    });
    return server;
  }

  /** postmaster.pid: the first line is whose it is, the eighth what it is doing. */
  #isReady(server: ChildProcess): boolean {
    const file = join(this.#data, 'postmaster.pid');
    if (!existsSync(file)) return false;
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines[0] === String(server.pid) && lines[7]?.trim() === 'ready';
  }

  /** Ends the server and keeps its data; nothing happens when it does not run. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server?.pid === undefined || hasEnded(server)) return;
    const ended = once(server, 'exit');
    const family = mode === 'kill' ? childrenOf(server.pid) : [];
    server.kill(mode === 'fast' ? 'SIGINT' : 'SIGKILL');
    // A crash is that of all its processes: one left over would keep the data from being opened again.
    for (const pid of family) endAtOnce(pid);
    // A frozen session would keep the server from ending.
    const impatience = setTimeout(() => server.kill('SIGKILL'), STOP_DEADLINE_MS);
    await ended;
    clearTimeout(impatience);
  }

  /** Stops and starts; sessions are cut, data stays. */
  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Ends the server and deletes its data. */
  async remove(): Promise<void> {
    await this.stop('fast');
    process.off('exit', this.#remove);
    this.#remove();
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
