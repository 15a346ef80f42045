import { getSystemErrorMap } from 'node:util';

/** A refusal by the kernel or by libbpf. The message says what was tried, on what, and what to do about it. */
export class DataplaneError extends Error {
  override readonly name = 'DataplaneError';
  /** The errno's name, e.g. `EPERM`. */
  readonly code: string;
  /** What libbpf and the verifier had to say, if anything: up to some hundred lines. */
  readonly log: string;

  /**
   * @param what the sentence so far, e.g. `cannot attach tc_in to eth0`
   * @param errno positive; its text is appended
   * @param advice what the reader can do, as a sentence of its own
   */
  constructor(what: string, errno: number, advice = adviceFor(errno), log = '') {
    super(`${what}: ${errnoText(errno)}${advice ? `. ${advice}` : ''}`);
    this.code = errnoName(errno);
    this.log = log;
  }
}

/** Errno numbers that the code decides by; the same on x86-64 and arm64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
} as const;

/** E.g. `EPERM`; a number that libuv does not know (the kernel's internal ones) stays a number. */
export function errnoName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`;
}

function errnoText(errno: number): string {
  const entry = getSystemErrorMap().get(-errno);
  return entry ? `${entry[1]} (${entry[0]})` : `errno ${errno}`;
}

function adviceFor(errno: number): string {
  if (errno !== Errno.EPERM) return '';
  return 'Run as root, or with CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_PERFMON';
}
