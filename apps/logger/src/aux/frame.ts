// One record in the log's file:
//
//   0         4                12            16        16+head
//   length    SHA-256, 8 bytes  head's length  head, JSON  body
//
// `length` counts what follows the checksum, which covers everything but itself. A torn record does not match it.

import { hash } from 'node:crypto';

const PREFIX = 16;
const SUM_AT = 4;
const SUM_BYTES = 8;
const CONTENT_AT = 12;

/** Longest record, bytes: a response's body and its head. */
export const MAX_FRAME_BYTES = 68 * 1_048_576;

export interface Frame {
  /** What JSON made of it. */
  readonly head: unknown;
  readonly body: Buffer;
  /** Of the whole frame. */
  readonly bytes: number;
}

function sum(length: Uint8Array, content: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([length, content]), 'buffer').subarray(0, SUM_BYTES);
}

/** @throws RangeError when it would be longer than MAX_FRAME_BYTES */
export function writeFrame(head: object, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const total = PREFIX + text.length + body.length;
  if (total > MAX_FRAME_BYTES) throw new RangeError(`a record of ${total} bytes is too long for the log`);
  const frame = Buffer.concat([Buffer.alloc(PREFIX), text, body], total);
  frame.writeUInt32BE(total - CONTENT_AT, 0);
  frame.writeUInt32BE(text.length, CONTENT_AT);
  sum(frame.subarray(0, SUM_AT), frame.subarray(CONTENT_AT)).copy(frame, SUM_AT);
  return frame;
}

/** How many frames in a row may be unsound and yet be passed over. */
const MAX_UNSOUND = 1000;

/** Where the next sound frame begins behind an unsound one whose length is what it was; undefined when there is none. */
export function nextFrameAt(file: Buffer, from: number): number | undefined {
  let at = from;
  for (let i = 0; i < MAX_UNSOUND && file.length - at >= PREFIX; i++) {
    at += CONTENT_AT + file.readUInt32BE(at);
    if (readFrame(file, at) !== undefined) return at;
  }
  return undefined;
}

/** The frame that begins there; undefined when there is no whole and sound one. */
export function readFrame(file: Buffer, at = 0): Frame | undefined {
  if (file.length - at < PREFIX) return undefined;
  const length = file.readUInt32BE(at);
  if (length < PREFIX - CONTENT_AT || length > file.length - at - CONTENT_AT) return undefined;
  const content = file.subarray(at + CONTENT_AT, at + CONTENT_AT + length);
  const expected = file.subarray(at + SUM_AT, at + SUM_AT + SUM_BYTES);
  if (!sum(file.subarray(at, at + SUM_AT), content).equals(expected)) return undefined;
  const headBytes = content.readUInt32BE(0);
  if (headBytes > content.length - 4) return undefined;
  try {
    const head: unknown = JSON.parse(content.toString('utf8', 4, 4 + headBytes));
    return { head, body: content.subarray(4 + headBytes), bytes: CONTENT_AT + length };
  } catch {
    return undefined;
  }
}
