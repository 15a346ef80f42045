// A few hosts for one test: network namespaces joined by veth pairs and a BPF file system, gone when it ends.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** undefined, or why this machine or user cannot make namespaces: for `test(…, { skip })`. */
export function whyNoNetwork(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces and BPF';
  return existsSync('/proc/self/ns/net') ? undefined : 'the kernel has no network namespaces';
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export class TestNetwork {
  /** For config files, sockets and logs. */
  readonly directory: string;
  /** A BPF file system. */
  readonly bpf: string;
  /** File with a cluster key, and the key. */
  readonly keyFile: string;
  readonly key = Uint8Array.from({ length: 32 }, (_, i) => i ^ 0x5a);
  readonly #prefix: string;
  readonly #namespaces: string[] = [];

  /** @param prefix begins the namespaces' names */
  constructor(prefix: string) {
    this.#prefix = `${prefix}-${process.pid}-`;
    this.directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
    this.keyFile = join(this.directory, 'key');
    writeFileSync(this.keyFile, `${Buffer.from(this.key).toString('hex')}\n`);
    chmodSync(this.keyFile, 0o600);
    this.bpf = join(this.directory, 'bpf');
    mkdirSync(this.bpf);
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.bpf]);
  }

  /** A host's namespace as `ip netns` and /run/netns know it. */
  namespace(host: string): string {
    return this.#prefix + host;
  }

  addHost(host: string): void {
    const namespace = this.namespace(host);
    ip('netns', 'add', namespace);
    this.#namespaces.push(namespace);
    // Before there are links: they take over what is set by then.
    for (const setting of ['all', 'default']) {
      this.set(host, `net.ipv4.conf.${setting}.rp_filter`, '0');
      this.set(host, `net.ipv4.conf.${setting}.send_redirects`, '0');
    }
    this.ip(host, 'link', 'set', 'lo', 'up');
  }

  /** Runs `ip` inside a host. */
  ip(host: string, ...args: string[]): void {
    ip('-n', this.namespace(host), ...args);
  }

  set(host: string, setting: string, value: string): void {
    const file = `/proc/sys/${setting.replaceAll('.', '/')}`;
    execFileSync('nsenter', [...this.inside(host), 'sh', '-c', `echo ${value} > ${file}`]);
  }

  /** Arguments of nsenter that put a command into a host. Not `ip netns exec`: it hides the BPF file system. */
  inside(host: string): string[] {
    return [`--net=/run/netns/${this.namespace(host)}`];
  }

  addBridge(host: string, device: string): void {
    this.ip(host, 'link', 'add', device, 'type', 'bridge');
    this.ip(host, 'link', 'set', device, 'up');
  }

  /** Joins two hosts; an end is given an address or a bridge. */
  link(a: LinkEnd, b: LinkEnd): void {
    const peer = ['peer', 'name', b.device, 'netns', this.namespace(b.host)];
    this.ip(a.host, 'link', 'add', a.device, 'type', 'veth', ...peer);
    for (const { host, device, address, bridge } of [a, b]) {
      if (address) this.ip(host, 'addr', 'add', address, 'dev', device);
      if (bridge) this.ip(host, 'link', 'set', device, 'master', bridge);
      this.ip(host, 'link', 'set', device, 'up');
    }
  }

  /** Removes everything; whoever still runs inside loses its links. */
  remove(): void {
    for (const namespace of this.#namespaces) {
      try {
        ip('netns', 'del', namespace);
      } catch {
        // Gone already.
      }
    }
    execFileSync('umount', ['-l', this.bpf]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface LinkEnd {
  host: string;
  device: string;
  address?: string;
  bridge?: string;
}
