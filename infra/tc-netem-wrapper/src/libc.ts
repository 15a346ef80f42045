/** The functions of the C library that the emulator's thread needs. Addresses of user space are exact as numbers. */
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

export const read = libc.func('long read(int fd, intptr_t into, size_t length)') as (
  fd: number,
  into: number,
  length: number,
) => number;

export const write = libc.func('long write(int fd, intptr_t from, size_t length)') as (
  fd: number,
  from: number,
  length: number,
) => number;

export const ppoll = libc.func('int ppoll(intptr_t fds, ulong count, intptr_t timeout, intptr_t mask)') as (
  fds: number,
  count: number,
  timeout: number,
  mask: number,
) => number;

const ioctl = libc.func('int ioctl(int fd, ulong request, void *argument)') as (
  fd: number,
  request: number,
  argument: Uint8Array,
) => number;

const prctl = libc.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)') as (
  option: number,
  a: number,
  b: number,
  c: number,
  d: number,
) => number;

const setns = libc.func('int setns(int fd, int kind)') as (fd: number, kind: number) => number;
const eventfd = libc.func('int eventfd(uint start, int flags)') as (start: number, flags: number) => number;
const open = libc.func('int open(const char *path, int flags)') as (path: string, flags: number) => number;

/** For descriptors that Node has not opened: its own `closeSync` warns of them in worker threads. */
export const close = libc.func('int close(int fd)') as (fd: number) => number;

export const POLLIN = 1;
export const POLLERR = 8;

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;
const PR_SET_TIMERSLACK = 29;
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;

export function lastError(what: string): Error {
  return new Error(`${what}: ${getSystemErrorName(-koffi.errno())}`);
}

/** Where a buffer's bytes are, as long as somebody holds it. */
export function addressOf(buffer: ArrayBuffer): number {
  return Number(koffi.address(buffer));
}

/** A descriptor that one thread waits for and another one rings. @throws Error */
export function openBell(): number {
  const fd = eventfd(0, O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw lastError('no eventfd');
  return fd;
}

/** Moves the calling thread, for good, into the network namespace bound at `path`. @throws Error */
export function enterNamespace(path: string): void {
  const fd = openSync(path, 'r');
  try {
    if (setns(fd, CLONE_NEWNET) !== 0) throw lastError(`cannot enter ${path}`);
  } finally {
    closeSync(fd);
  }
}

/** The calling thread's timers fire when they are due, not up to 50 µs later, as Linux by default allows itself. */
export function tightenTimers(): void {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

/**
 * Makes an Ethernet device whose wire is the returned descriptor: what the kernel sends comes out of `read`, a frame
 * at a time, and what is written it receives. Without offloads, so frames fit the MTU and their checksums are whole.
 * The device goes when the descriptor is closed, be it by SIGKILL.
 *
 * @throws Error
 */
export function openTap(device: string): number {
  const fd = open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw lastError('cannot open /dev/net/tun');
  const request = Buffer.alloc(40);
  request.write(device, 0, 15, 'latin1');
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
  if (ioctl(fd, TUNSETIFF, request) === 0) return fd;
  const error = lastError(`cannot make the device ${device}`);
  close(fd);
  throw error;
}
