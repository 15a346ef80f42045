/** What the tests that touch the kernel stand on. All of them need root. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import koffi from 'koffi';
import { type BpfObject, type LoadOptions, loadObject } from '../src/index.ts';

const libc = koffi.load('libc.so.6');
const unshare = libc.func('int unshare(int flags)') as (flags: number) => number;
const setns = libc.func('int setns(int fd, int type)') as (fd: number, type: number) => number;
const CLONE_NEWNET = 0x40000000;

export const SAMPLE = join(import.meta.dirname, 'bpf/sample.bpf.o');
export const REFUSED = join(import.meta.dirname, 'bpf/refused.bpf.o');

/** The sample program, closed when the test ends. */
export function loadSample(t: TestContext, options?: LoadOptions): BpfObject {
  const object = loadObject(SAMPLE, options);
  t.after(() => object.close());
  return object;
}

/** A BPF file system of the test's own, unmounted with all its pins when the test ends. */
export function mountBpffs(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'dataplane-bpffs-'));
  execFileSync('mount', ['-t', 'bpf', 'bpf', directory]);
  t.after(() => {
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  });
  return directory;
}

/**
 * Moves this thread into a network namespace of its own until the test ends; the kernel removes it with its last user.
 * Two devices are in it, `left` (10.99.0.1/24, where 10.99.0.2 is behind the cable) and `right`.
 */
export function enterNamespace(t: TestContext): void {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  if (unshare(CLONE_NEWNET) !== 0) throw new Error(`cannot make a network namespace: errno ${koffi.errno()}`);
  t.after(() => {
    if (setns(home, CLONE_NEWNET) !== 0) process.abort();
    closeSync(home);
  });
  // A namespace is born as its machine is: one that forwards (a container engine has it so) would send back what it is given.
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
  ip('link set lo up');
  ip('link add left address 02:00:00:00:00:01 type veth peer name right address 02:00:00:00:00:02');
  ip('address add 10.99.0.1/24 dev left');
  ip('link set left up');
  ip('link set right up');
  ip('neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev left');
}

export function ip(command: string): string {
  return execFileSync('ip', command.split(' '), { encoding: 'utf8' });
}

/** Waits until `condition` holds. @throws Error that names what did not come about within `deadlineMs` */
export async function until(what: string, condition: () => boolean, deadlineMs = 2000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}

/** 64 bytes with an Ethernet header for IPv4; what follows it is `content`. */
export function frame(content: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(Math.max(64, 14 + content.length));
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
  bytes.set(content, 14);
  return bytes;
}
