/**
 * The arithmetic of a spliced connection (P2, P3).
 *
 * The client was answered with sequence number `p0`; the back end chose `s0`. Everything the server says is shifted by
 * `delta = p0 − s0` on its way to the client, and everything the client acknowledges is shifted back. The client's own
 * sequence numbers are left alone, because the server side is opened with the client's own ISN.
 */
import { add, sub } from './sequence.ts';

/** The largest shift count of the window scale option (RFC 7323 §2.3). */
export const MAX_WINDOW_SHIFT = 14;

/** The distance from server space to client space. */
export function deltaOf(p0: number, s0: number): number {
  return sub(p0, s0);
}

/** A client's acknowledgement (or an edge of a SACK block) as the server must see it. */
export function toServerAck(ack: number, delta: number): number {
  return sub(ack, delta);
}

/** A server's sequence number as the client must see it. */
export function toClientSeq(seq: number, delta: number): number {
  return add(seq, delta);
}

/**
 * The window field of a segment, re-expressed for a reader who applies another shift.
 *
 * Rounds down and saturates at 65535: offering a byte more than the receiver has would make the sender's excess be
 * dropped, offering a little less costs nothing.
 *
 * @param window the 16-bit field as it stands in the segment
 * @param fromShift shift that the segment's sender applies, 0…14
 * @param toShift shift that the segment's reader applies, 0…14
 */
export function rescaleWindow(window: number, fromShift: number, toShift: number): number {
  return Math.min(Math.floor((window * 2 ** fromShift) / 2 ** toShift), 0xffff);
}
