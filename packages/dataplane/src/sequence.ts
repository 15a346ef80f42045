/**
 * TCP sequence numbers (RFC 9293 §3.4): unsigned 32-bit, modulo 2^32.
 *
 * Every function takes any integer that fits 32 bits (signed or unsigned) and answers in 0…2^32−1, except
 * `distance`. Comparisons hold while the two numbers are less than 2^31 apart; a stream longer than 2 GiB must be
 * followed in steps.
 */

/** a + b modulo 2^32. */
export function add(a: number, b: number): number {
  return (a + b) >>> 0;
}

/** a − b modulo 2^32. */
export function sub(a: number, b: number): number {
  return (a - b) >>> 0;
}

/** How far `a` lies behind (negative) or ahead of (positive) `b`: a − b as a signed 32-bit number. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

/** Whether `a` comes strictly before `b`. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** Whether `a` comes strictly after `b`. */
export function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** Whether `sequence` lies in [start, start + size). `size` is 0…2^32−1; an empty window holds nothing. */
export function inWindow(sequence: number, start: number, size: number): boolean {
  return (sequence - start) >>> 0 < size;
}
