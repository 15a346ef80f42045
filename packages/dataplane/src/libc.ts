/** The few functions of the C library that Node has no name for. */
import koffi from 'koffi';
import { DataplaneError } from './errors.ts';

const libc = koffi.load('libc.so.6');

export const PROT_READ = 1;
export const PROT_WRITE = 2;
const MAP_SHARED = 1;

type Pointer = ArrayBuffer | Uint8Array | bigint | null;

export const socket = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number;

export const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint length)',
) as (fd: number, level: number, name: number, value: Pointer, length: number) => number;

export const sendmmsg = libc.func('int sendmmsg(int fd, void *messages, uint count, int flags)') as (
  fd: number,
  messages: Pointer,
  count: number,
  flags: number,
) => number;

export const recvmmsg = libc.func(
  'int recvmmsg(int fd, void *messages, uint count, int flags, void *timeout)',
) as (fd: number, messages: Pointer, count: number, flags: number, timeout: Pointer) => number;

export const sendto = libc.func(
  'long sendto(int fd, const void *bytes, size_t length, int flags, const void *address, uint addressLength)',
) as (
  fd: number,
  bytes: Pointer,
  length: number,
  flags: number,
  address: Pointer,
  addressLength: number,
) => number;

export const bind = libc.func('int bind(int fd, const void *address, uint length)') as (
  fd: number,
  address: Pointer,
  length: number,
) => number;

export const getsockname = libc.func('int getsockname(int fd, void *address, void *length)') as (
  fd: number,
  address: Pointer,
  length: Pointer,
) => number;

/** For descriptors that Node has not opened: its own `closeSync` warns of them in worker threads. */
export const close = libc.func('int close(int fd)') as (fd: number) => number;

export const ifNameToIndex = libc.func('uint if_nametoindex(const char *name)') as (name: string) => number;

/** @param name at least 16 bytes, into which it is written with a zero behind it; null when there is no such device */
export const ifIndexToName = libc.func('void *if_indextoname(uint index, _Out_ uint8_t *name)') as (
  index: number,
  name: Uint8Array,
) => Pointer;

// Variadic in C as well; see syscall below.
export const ioctl = libc.func('int ioctl(int fd, ulong request, void *argument)') as (
  fd: number,
  request: number,
  argument: Pointer,
) => number;

/** `arguments` is a `va_list`, which a callback receives as a pointer on x86-64 and on arm64. */
export const vsnprintf = libc.func(
  'int vsnprintf(void *into, size_t size, const char *format, void *arguments)',
) as (into: Pointer, size: number, format: bigint, args: bigint) => number;

// The C prototype is variadic; with these argument types both ABIs pass the same registers as for a fixed one.
export const syscall = libc.func('long syscall(long number, int command, void *argument, uint size)') as (
  number: number,
  command: number,
  argument: Pointer,
  size: number,
) => number;

// Addresses of user space are below 2^47 and so exact as numbers; MAP_FAILED is −1.
const mmap = libc.func(
  'intptr_t mmap(void *at, size_t length, int protection, int flags, int fd, long offset)',
) as (at: Pointer, length: number, protection: number, flags: number, fd: number, offset: number) => number;

const munmap = libc.func('int munmap(intptr_t at, size_t length)') as (at: number, length: number) => number;

const sysconf = libc.func('long sysconf(int name)') as (name: number) => number;

/** `_SC_PAGESIZE` of glibc. Not always 4096 on arm64. */
const SC_PAGESIZE = 30;

/** Bytes of a memory page. */
export const pageSize = sysconf(SC_PAGESIZE);

/** The errno of this thread's last call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Shared memory behind a file descriptor. */
export interface Mapping {
  /** Must not be touched after `unmap`: the process would die by SIGSEGV. */
  readonly memory: ArrayBuffer;
  unmap(): void;
}

/**
 * Maps `length` bytes, shared with the kernel.
 *
 * @param what names the thing for an error, e.g. `map events`
 * @throws DataplaneError
 */
export function mapShared(
  fd: number,
  length: number,
  protection: number,
  offset: number,
  what: string,
): Mapping {
  const at = mmap(null, length, protection, MAP_SHARED, fd, offset);
  if (at === -1) throw new DataplaneError(`cannot map ${length} bytes of ${what}`, lastErrno());
  return {
    memory: koffi.view(at, length),
    unmap() {
      munmap(at, length);
    },
  };
}
