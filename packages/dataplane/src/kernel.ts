/** The bpf(2) system call. */
import { arch } from 'node:process';
import koffi from 'koffi';
import { DataplaneError } from './errors.ts';
import { lastErrno, syscall } from './libc.ts';

/** Commands of bpf(2), `enum bpf_cmd` in linux/bpf.h. */
export const BpfCommand = {
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  OBJ_GET: 7,
  PROG_TEST_RUN: 10,
  OBJ_GET_INFO_BY_FD: 15,
  MAP_LOOKUP_BATCH: 24,
} as const;

/** Numbers of the map types that this package treats specially, `enum bpf_map_type`. */
export const MapType = {
  HASH: 1,
  ARRAY: 2,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_PERCPU_HASH: 10,
  RINGBUF: 27,
} as const;

/** `BPF_F_MMAPABLE`. */
export const MAP_FLAG_MMAPABLE = 1 << 10;
/** `BPF_F_RDONLY`. */
export const MAP_FLAG_READ_ONLY = 1 << 3;

const SYSCALL_NUMBER: Record<string, number> = { x64: 321, arm64: 280 };

/**
 * One bpf(2) call.
 *
 * @param attribute the command's part of `union bpf_attr`; the kernel writes its answers into it
 * @param size bytes of it that count: a command refuses bytes that are not its own unless they are zero
 * @returns the call's result: 0 or a file descriptor; a negative errno on failure
 */
export function bpf(command: number, attribute: ArrayBuffer, size = attribute.byteLength): number {
  const number = SYSCALL_NUMBER[arch];
  if (number === undefined)
    throw new Error(`bpf(2) has no known number on ${arch}; x86-64 and arm64 are supported`);
  const result = syscall(number, command, attribute, size);
  return result < 0 ? -lastErrno() : result;
}

/** The address of a buffer's bytes. It stays valid as long as somebody holds the buffer: keep a reference. */
export function addressOf(buffer: ArrayBuffer): bigint {
  return koffi.address(buffer);
}

/**
 * BPF_OBJ_GET_INFO_BY_FD: fills `info` (a `struct bpf_map_info` or `bpf_prog_info`).
 *
 * @throws DataplaneError
 */
export function objectInfo(fd: number, info: ArrayBuffer, what: string): void {
  const attribute = new ArrayBuffer(16);
  const view = new DataView(attribute);
  view.setUint32(0, fd, true);
  view.setUint32(4, info.byteLength, true);
  view.setBigUint64(8, addressOf(info), true);
  const result = bpf(BpfCommand.OBJ_GET_INFO_BY_FD, attribute);
  if (result < 0) throw new DataplaneError(`cannot ask the kernel about ${what}`, -result);
}

/** BPF_OBJ_GET: a new file descriptor for a pinned map or program, or a negative errno. */
export function openPin(path: string): number {
  const name = Buffer.from(`${path}\0`);
  const bytes = new ArrayBuffer(name.length);
  new Uint8Array(bytes).set(name);
  const attribute = new ArrayBuffer(16);
  new DataView(attribute).setBigUint64(0, addressOf(bytes), true);
  return bpf(BpfCommand.OBJ_GET, attribute);
}
