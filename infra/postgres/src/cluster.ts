// A PostgreSQL cluster of its own: data in a directory of its own, a private Unix socket, TCP only where it is asked for. Debian's
// default cluster, if there is one, is neither used nor disturbed.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findBinaries, type SystemUser, serverUser } from './installation.ts';

export interface ClusterOptions {
  /** Whether a commit survives the machine's crash; it always survives the server's. Tests end with their machine. */
  readonly durable?: boolean;
  /** Further `name=value` of postgresql.conf. */
  readonly settings?: readonly string[];
  /** Where its data is kept when our process is gone; what is there already is opened. Absent: in `/tmp`, for our process' life. */
  readonly directory?: string;
  /** Statements, a line each, with which a new cluster begins. */
  readonly beginning?: readonly string[];
  /** TCP for those who know their role's password; absent: none. */
  readonly listen?: Listen;
  /** Called when the server ends without having been told to. */
  readonly onEnd?: (error: ClusterError) => void;
}

export interface Listen {
  readonly address: string;
  readonly port: number;
  /** Networks that may ask, CIDR. */
  readonly admits: readonly string[];
}

/** How clients find it; what `pg` takes. */
export interface ClusterAddress {
  /** Directory of the socket. */
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

/** A machine that is gone without a word leaves no session for long: otherwise those of a day's crashes would fill all there are. */
const KEEPALIVE = [
  'tcp_keepalives_idle=10',
  'tcp_keepalives_interval=2',
  'tcp_keepalives_count=5',
  'tcp_user_timeout=20000',
];

/** The server could not be made or started; `output` is what it said. */
export class ClusterError extends Error {
  constructor(what: string, output: string) {
    super(`postgres: ${what}; it said:\n${output.trim() || '(nothing)'}`);
    this.name = 'ClusterError';
  }
}

/** What a server says that finds a process of its predecessor's, which was killed and is about to end, or has not been reaped. */
const LEFT_OVER = /pre-existing shared memory block|lock file "postmaster\.pid" already exists/;
const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 20_000;

function childrenOf(pid: number): readonly number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  const text = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  return text === '' ? [] : text.split(' ').map(Number);
}

/** PostgreSQL's processes say there what they are. */
function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    // Gone since.
    return '';
  }
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
    this.#directory = options.directory ?? mkdtempSync(join(tmpdir(), 'resplice-pg-'));
    this.#data = join(this.#directory, 'data');
    // Only the directory's owner and root reach what is in it.
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    chownSync(this.#directory, this.#user.uid, this.#user.gid);
    if (options.directory === undefined) process.on('exit', this.#remove);
  }

  /**
   * Makes a cluster, or opens the one in `directory`, and starts it. It ends with this process, whatever ends that.
   * @throws ClusterError, NoPostgresError
   */
  static async create(options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(options);
    try {
      if (!existsSync(cluster.#data)) cluster.#initialise();
      cluster.#admit();
      await cluster.start();
    } catch (error) {
      // What somebody wants to keep is not thrown away because it could not be opened.
      await (options.directory === undefined ? cluster.remove() : cluster.stop('fast'));
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

  /** Its processes that serve somebody who is connected as this role. */
  sessionsOf(role: string): number {
    const pid = this.#server?.pid;
    if (pid === undefined) return 0;
    return childrenOf(pid).filter(each => titleOf(each).startsWith(`postgres: ${role} `)).length;
  }

  /** What the server wrote to its log since it was last started. */
  get output(): string {
    return this.#output;
  }

  /** A cluster that is half made, when we die meanwhile, is not taken for one. */
  #initialise(): void {
    const unfinished = `${this.#data}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    const as = { ...this.#user, cwd: this.#directory, encoding: 'utf8' } as const;
    const made = spawnSync(
      join(this.#binaries, 'initdb'),
      ['--pgdata', unfinished, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8']
        // Only the directory's owner and root reach the socket: nobody need give a password there.
        .concat(this.#options.durable ? [] : ['--no-sync']),
      as,
    );
    if (made.status !== 0) throw new ClusterError('initdb failed', `${made.error ?? ''}${made.stderr}`);
    const { beginning = [] } = this.#options;
    if (beginning.length > 0) {
      // Without a server: nobody finds a cluster that has not begun.
      const input = beginning.map(statement => `${statement}\n`).join('');
      const args = ['--single', '-D', unfinished, ...(this.#options.durable ? [] : ['-F']), 'postgres'];
      const begun = spawnSync(join(this.#binaries, 'postgres'), args, { ...as, input });
      // It goes on after a statement that fails, and exits with 0.
      if (begun.status !== 0 || /^.*(ERROR|FATAL): /m.test(begun.stderr)) {
        throw new ClusterError('its first statements failed', `${begun.error ?? ''}${begun.stderr}`);
      }
    }
    renameSync(unfinished, this.#data);
  }

  /** Who may come, and whether they must say a password. */
  #admit(): void {
    const { listen } = this.#options;
    const lines = ['local all all trust'].concat(
      listen?.admits.map(network => `host all all ${network} scram-sha-256`) ?? [],
    );
    const file = join(this.#data, 'pg_hba.conf');
    writeFileSync(file, lines.map(line => `${line}\n`).join(''));
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
        if (!LEFT_OVER.test(this.#output))
          throw new ClusterError('the server ended while it started', this.#output);
        server = this.#spawn();
      }
      await pause(5);
    }
    server.on('exit', code => {
      // Whoever stops it forgets it first.
      if (this.#server !== server) return;
      this.#options.onEnd?.(new ClusterError(`the server ended (${code ?? 'by a signal'})`, this.#output));
    });
  }

  #spawn(): ChildProcess {
    const { listen } = this.#options;
    const settings = [
      `listen_addresses=${listen?.address ?? ''}`,
      ...(listen ? [`port=${listen.port}`, ...KEEPALIVE] : []),
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
    let lines: string[];
    try {
      lines = readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n');
    } catch (error) {
      // Not there yet; or a former server's, which goes just now.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
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

  /** Ends the server and deletes its directory. */
  async remove(): Promise<void> {
    await this.stop('fast');
    process.off('exit', this.#remove);
    this.#remove();
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
