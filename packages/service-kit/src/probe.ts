// What a liveness probe and its answer say, inside a sealed datagram (purpose "liveness"; the sender and its epoch are
// in the seal). Both carry the id of the one they are meant for: recorded and sent elsewhere, they mean nothing.
//
//   0     1      2        4        8
//   type  ready  receiver number   status        big-endian

const BYTES = 12;
const PROBE = 1;
const ANSWER = 2;

export const LIVENESS_PURPOSE = 'liveness';

export interface Probe {
  kind: 'probe';
  /** Id of the one that shall answer. */
  receiver: number;
  /** u32, comes back in the answer. */
  number: number;
}

export interface Answer {
  kind: 'answer';
  /** Id of the one that asked. */
  receiver: number;
  /** The probe's number. */
  number: number;
  ready: boolean;
  /** u32 whose meaning is the sender's. */
  status: number;
}

export function encodeProbe(receiver: number, number: number): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = PROBE;
  view.setUint16(2, receiver);
  view.setUint32(4, number);
  return bytes;
}

export function encodeAnswer(to: number, number: number, ready: boolean, status: number): Uint8Array {
  const bytes = encodeProbe(to, number);
  bytes[0] = ANSWER;
  bytes[1] = ready ? 1 : 0;
  new DataView(bytes.buffer).setUint32(8, status);
  return bytes;
}

/** undefined for anything that is neither; never throws. */
export function decode(bytes: Uint8Array): Probe | Answer | undefined {
  if (bytes.length !== BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BYTES);
  const receiver = view.getUint16(2);
  const number = view.getUint32(4);
  if (bytes[0] === PROBE) return { kind: 'probe', receiver, number };
  if (bytes[0] !== ANSWER) return undefined;
  return { kind: 'answer', receiver, number, ready: bytes[1] === 1, status: view.getUint32(8) };
}
