import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** `ip` and `tc` live in sbin, which a user's PATH may lack. */
const path = [process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  .filter(Boolean)
  .join(':');

export interface ToolOptions {
  readonly input?: string;
  /** A failure whose words are these is none. */
  readonly tolerate?: RegExp;
}

/** One network namespace and the tools of iproute2 in it. */
export class Namespace {
  /** `/run/netns/…` or `/proc/…/ns/net`; undefined: the process's own. */
  readonly path: string | undefined;

  constructor(path?: string) {
    this.path = path;
  }

  /** Runs many lines of `ip` or `tc` by one process. @throws Error with the tool's own words */
  async batch(tool: 'ip' | 'tc', lines: readonly string[], { tolerate }: ToolOptions = {}): Promise<void> {
    if (lines.length === 0) return;
    const input = lines.map(line => `${line}\n`).join('');
    await this.run(
      tool,
      [...(tolerate ? ['-force'] : []), '-batch', '-'],
      tolerate ? { input, tolerate } : { input },
    );
  }

  /** Gives devices no IPv6 address of their own: they would send packets that nobody asked for. */
  async silence(devices: readonly string[]): Promise<void> {
    const lines = devices.map(each => `link set ${each} addrgenmode none`);
    // A kernel without IPv6 has nothing to silence.
    await this.batch('ip', lines, { tolerate: /not supported/ });
  }

  /** Runs a program to its end. @returns its output. @throws Error with its own words */
  async run(file: string, args: readonly string[], { input, tolerate }: ToolOptions = {}): Promise<string> {
    const line =
      this.path === undefined ? [file, ...args] : ['nsenter', `--net=${this.path}`, '--', file, ...args];
    const child = spawn(line[0]!, line.slice(1), { env: { ...process.env, PATH: path, LC_ALL: 'C' } });
    let said = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', text => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      said += text;
    });
    // A program that failed early closes its input first; its exit code tells the story.
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    const [code] = await once(child, 'close');
    if (code === 0) return output;
    const complaints = said.split('\n').filter(each => each !== '' && !each.startsWith('Command failed'));
    if (tolerate && complaints.every(each => tolerate.test(each))) return output;
    throw new Error(`${file} ${args.join(' ')}: ${complaints.join('; ') || `exit ${code}`}`);
  }
}

const holderDeadlineMs = 5000;

/**
 * A namespace without a name that exists as long as this process and no longer: a child that does nothing holds it,
 * and the kernel kills that child with us, however we end. With the namespace its devices go.
 */
export class OwnNamespace extends Namespace {
  readonly #holder: ChildProcess;

  static async make(): Promise<OwnNamespace> {
    const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity'], {
      stdio: 'ignore',
      env: { ...process.env, PATH: path },
    });
    await once(holder, 'spawn');
    holder.unref();
    const where = `/proc/${holder.pid}/ns/net`;
    const ours = readlinkSync('/proc/self/ns/net');
    for (const deadline = Date.now() + holderDeadlineMs; readlinkSync(where) === ours; await delay(2)) {
      if (holder.exitCode !== null || Date.now() > deadline)
        throw new Error('cannot make a network namespace');
    }
    return new OwnNamespace(where, holder);
  }

  private constructor(where: string, holder: ChildProcess) {
    super(where);
    this.#holder = holder;
  }

  /** The pid by which `ip link … netns` knows it. */
  get pid(): number {
    return this.#holder.pid!;
  }

  async remove(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const gone = once(this.#holder, 'exit');
    this.#holder.ref();
    this.#holder.kill('SIGKILL');
    await gone;
  }
}
