// Programs under test, run inside a test network's hosts.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import type { TestNetwork } from './network.ts';
import { until } from './until.ts';

export class TestProcess {
  readonly child: ChildProcess;
  /** Standard output and error so far. */
  output = '';

  constructor(network: TestNetwork, host: string, script: string, args: string[]) {
    this.child = spawn('nsenter', [...network.inside(host), process.execPath, script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', bytes => {
        this.output += String(bytes);
      });
    }
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Ends it, SIGKILL by default, and waits for that. Returns its exit code, null after a signal. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (this.running) {
      const exit = once(this.child, 'exit');
      this.child.kill(signal);
      await exit;
    }
    return this.child.exitCode;
  }
}

export interface Reply {
  code: number;
  body: string;
}

/** Asks a daemon's admin server. */
export function ask(socketPath: string, path: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, agent: false, timeout: 2000 }, response => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', text => {
        body += text;
      });
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** Config beyond what is the same for all: key file, pin directory and admin socket are filled in. */
export interface DaemonSettings {
  name: string;
  [field: string]: unknown;
}

/** A daemon with its config and admin socket. */
export class TestDaemon extends TestProcess {
  readonly socket: string;

  constructor(network: TestNetwork, host: string, script: string, config: DaemonSettings) {
    const socket = join(network.directory, `${config.name}.sock`);
    const file = join(network.directory, `${config.name}.json`);
    const common = {
      keyFile: network.keyFile,
      pinDirectory: join(network.bpf, config.name),
      admin: { socket },
    };
    writeFileSync(file, JSON.stringify({ ...common, ...config }));
    super(network, host, script, ['--config', file]);
    this.socket = socket;
  }

  async status<T = Record<string, unknown>>(): Promise<T> {
    return JSON.parse((await ask(this.socket, '/status')).body);
  }

  /** What /healthz says: true, or its reason; undefined while nobody answers. */
  async health(): Promise<true | string | undefined> {
    try {
      const { code, body } = await ask(this.socket, '/healthz');
      return code === 200 ? true : JSON.parse(body).reason;
    } catch {
      return undefined;
    }
  }

  /** Waits until /healthz says ready; its output is in the error if it does not. */
  async ready(deadlineMs = 20_000): Promise<void> {
    try {
      await until(
        'the daemon is ready',
        async () => {
          if (!this.running) throw new Error('the daemon has ended');
          return (await this.health()) === true;
        },
        deadlineMs,
      );
    } catch (cause) {
      const health = await this.health();
      throw new Error(`${(cause as Error).message}; healthz: ${health}\n${this.output}`, { cause });
    }
  }
}

const CLIENT = join(import.meta.dirname, 'client.ts');

/** What a server says to connections from these ports of a host's address; an error's code where it says nothing. */
export async function talk(
  network: TestNetwork,
  host: string,
  from: { address: string; ports: readonly number[] },
  to: { address: string; port: number },
): Promise<Record<number, string>> {
  const process = new TestProcess(network, host, CLIENT, [
    from.address,
    to.address,
    String(to.port),
    from.ports.join(),
  ]);
  await once(process.child, 'close');
  return JSON.parse(process.output);
}
