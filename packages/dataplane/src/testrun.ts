/** Runs a loaded TC program on one packet, without any network (BPF_PROG_TEST_RUN). */
import { DataplaneError } from './errors.ts';
import { addressOf, BpfCommand, bpf } from './kernel.ts';
import type { BpfProgram } from './object.ts';

/** What a TC program may return (linux/pkt_cls.h). */
export const Verdict = {
  UNSPEC: -1,
  OK: 0,
  RECLASSIFY: 1,
  SHOT: 2,
  PIPE: 3,
  STOLEN: 4,
  REDIRECT: 7,
} as const;

export interface TestRunOptions {
  /** How often to run it; the duration is the mean. The packet that comes back has been through all of them. */
  repeat?: number | undefined;
  /** The device that the program sees; it must exist in this network namespace. 1, the loopback, if absent. */
  ifindex?: number | undefined;
  /** `skb->mark` before the run. */
  mark?: number | undefined;
  /** `skb->cb` before the run: up to five numbers. */
  cb?: readonly number[] | undefined;
}

export interface TestRunResult {
  /** What the program returned, as a signed number: see `Verdict`. */
  verdict: number;
  /** The packet as the program left it, with its Ethernet header. */
  packet: Uint8Array;
  durationNs: number;
  mark: number;
  cb: readonly number[];
}

const ETHERNET_HEADER = 14;
/** A program may grow the packet: room for the largest. */
const OUTPUT_BYTES = 1 << 17;

/** Offsets in `struct __sk_buff` (linux/bpf.h), and its size. The kernel refuses other fields that are not zero. */
const SKB = { mark: 8, ifindex: 40, cb: 48, size: 192 } as const;
/** Offsets in the `test` part of `union bpf_attr`, and its size. */
const ATTR = {
  fd: 0,
  verdict: 4,
  inputSize: 8,
  outputSize: 12,
  input: 16,
  output: 24,
  repeat: 32,
  duration: 36,
  contextInSize: 40,
  contextOutSize: 44,
  contextIn: 48,
  contextOut: 56,
  size: 80,
} as const;

/**
 * @param packet begins with its Ethernet header, whose type becomes `skb->protocol`; the kernel wants it to
 *   fit a page together with its own overhead: about 3,700 bytes
 * @throws DataplaneError
 */
export function testRun(
  program: Pick<BpfProgram, 'name' | 'fd'>,
  packet: Uint8Array,
  options: TestRunOptions = {},
): TestRunResult {
  if (packet.length < ETHERNET_HEADER) {
    throw new RangeError(`a packet of ${packet.length} bytes has no Ethernet header`);
  }
  const input = new Uint8Array(packet).buffer;
  const output = new ArrayBuffer(OUTPUT_BYTES);
  const context = new DataView(new ArrayBuffer(SKB.size));
  context.setUint32(SKB.mark, options.mark ?? 0, true);
  context.setUint32(SKB.ifindex, options.ifindex ?? 1, true);
  for (const [i, value] of (options.cb ?? []).entries()) context.setUint32(SKB.cb + 4 * i, value, true);
  const attribute = new DataView(new ArrayBuffer(ATTR.size));
  attribute.setUint32(ATTR.fd, program.fd, true);
  attribute.setUint32(ATTR.inputSize, input.byteLength, true);
  attribute.setUint32(ATTR.outputSize, OUTPUT_BYTES, true);
  attribute.setBigUint64(ATTR.input, addressOf(input), true);
  attribute.setBigUint64(ATTR.output, addressOf(output), true);
  attribute.setUint32(ATTR.repeat, options.repeat ?? 1, true);
  attribute.setUint32(ATTR.contextInSize, SKB.size, true);
  attribute.setUint32(ATTR.contextOutSize, SKB.size, true);
  attribute.setBigUint64(ATTR.contextIn, addressOf(context.buffer), true);
  attribute.setBigUint64(ATTR.contextOut, addressOf(context.buffer), true);
  const result = bpf(BpfCommand.PROG_TEST_RUN, attribute.buffer);
  if (result < 0) throw new DataplaneError(`cannot run program ${program.name} on a test packet`, -result);
  return {
    verdict: attribute.getInt32(ATTR.verdict, true),
    packet: new Uint8Array(output).slice(0, attribute.getUint32(ATTR.outputSize, true)),
    durationNs: attribute.getUint32(ATTR.duration, true),
    mark: context.getUint32(SKB.mark, true),
    cb: Array.from({ length: 5 }, (_, i) => context.getUint32(SKB.cb + 4 * i, true)),
  };
}
