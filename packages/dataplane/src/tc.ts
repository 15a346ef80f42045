/** Attaching programs to devices by clsact and cls_bpf, which every supported kernel and libbpf 1.1 know. */
import { ifindex } from './device.ts';
import { DataplaneError, Errno } from './errors.ts';
import { libbpf } from './libbpf.ts';
import type { BpfProgram } from './object.ts';

export type Direction = 'ingress' | 'egress';

/** `enum bpf_tc_attach_point`. */
const ATTACH_POINT = { ingress: 1, egress: 2 } as const;
const BOTH = 3;
const FLAG_REPLACE = 1;
/** One filter of ours per direction: always the same place, so that attaching again replaces it. */
const HANDLE = 1;
const PRIORITY = 1;

/**
 * Attaches a program to a device of the calling thread's network namespace. A program that stands there already is
 * replaced atomically: every packet meets the old one or the new one.
 *
 * @throws DataplaneError
 */
export function attachTc(device: string, direction: Direction, program: BpfProgram): void {
  const index = ifindex(device);
  const created = libbpf().bpf_tc_hook_create(hookOf(index, BOTH));
  if (created < 0 && created !== -Errno.EEXIST) {
    throw new DataplaneError(`cannot create the clsact qdisc of ${device}`, -created);
  }
  const result = libbpf().bpf_tc_attach(
    hookOf(index, ATTACH_POINT[direction]),
    optionsOf(program.fd, FLAG_REPLACE),
  );
  if (result < 0) {
    throw new DataplaneError(`cannot attach ${program.name} to ${device} (${direction})`, -result);
  }
}

/**
 * Detaches what `attachTc` attached, in one direction or both; nothing there is no error. The clsact qdisc stays: it
 * may hold other people's filters.
 *
 * @throws DataplaneError
 */
export function detachTc(device: string, direction?: Direction): void {
  const index = ifindex(device);
  for (const each of direction ? [direction] : (['ingress', 'egress'] as const)) {
    const result = libbpf().bpf_tc_detach(hookOf(index, ATTACH_POINT[each]), optionsOf(0, 0));
    // EINVAL is the kernel's answer where the device has no clsact qdisc at all.
    if (result < 0 && result !== -Errno.ENOENT && result !== -Errno.EINVAL) {
      throw new DataplaneError(`cannot detach the program of ${device} (${each})`, -result);
    }
  }
}

/**
 * Whether a program stands where `attachTc` puts it. It goes with its device, or with the clsact qdisc.
 *
 * @throws DataplaneError if there is no such device
 */
export function isAttachedTc(device: string, direction: Direction): boolean {
  const result = libbpf().bpf_tc_query(hookOf(ifindex(device), ATTACH_POINT[direction]), optionsOf(0, 0));
  if (result < 0 && result !== -Errno.ENOENT && result !== -Errno.EINVAL) {
    throw new DataplaneError(`cannot ask for the program of ${device} (${direction})`, -result);
  }
  return result === 0;
}

/** `struct bpf_tc_hook { size_t sz; int ifindex; enum attach_point; __u32 parent; }` */
function hookOf(index: number, attachPoint: number): ArrayBuffer {
  const hook = new ArrayBuffer(24);
  const view = new DataView(hook);
  view.setBigUint64(0, 24n, true);
  view.setInt32(8, index, true);
  view.setInt32(12, attachPoint, true);
  return hook;
}

/** `struct bpf_tc_opts { size_t sz; int prog_fd; __u32 flags, prog_id, handle, priority; }` */
function optionsOf(fd: number, flags: number): ArrayBuffer {
  const options = new ArrayBuffer(32);
  const view = new DataView(options);
  view.setBigUint64(0, 32n, true);
  view.setInt32(8, fd, true);
  view.setUint32(12, flags, true);
  view.setUint32(20, HANDLE, true);
  view.setUint32(24, PRIORITY, true);
  return options;
}
