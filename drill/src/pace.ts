import type { ClientLink } from '@resplice/topology';

/** How much is carried, and how fast, so that a fault meets the middle of it and the link is not the matter. */
export interface Pace {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** For one request, faults included, ms. */
  readonly deadlineMs: number;
}

/** Of the client's sockets: small enough that the kernel's buffers hide only a few milliseconds of a stall. */
export const BUFFER_BYTES = 131_072;
/** Slow enough that a fault lands in the middle, fast enough to keep a link busy. */
const PACE = 20e6;
/** How long a transfer lasts, s: longer than a fault takes to be made. */
const SECONDS = 2;
const LEAST_BYTES = 400_000;
/** Longer than any stall that is worth telling from one without an end, ms. */
const PATIENCE_MS = 6000;

/** Two seconds of transfer, at a pace that link and window can keep. */
export function paceOver({ rttMs, rateMbit }: ClientLink): Pace {
  const byLink = rateMbit === null ? PACE : (rateMbit * 1e6) / 8;
  const byWindow = rttMs === 0 ? PACE : (BUFFER_BYTES * 1000) / rttMs;
  const bytesPerSecond = Math.min(PACE, byLink, byWindow);
  const bytes = Math.round(Math.max(LEAST_BYTES, SECONDS * bytesPerSecond));
  // What was carried may have to be carried again.
  const transferMs = (2 * 1000 * bytes) / bytesPerSecond;
  return { bytes, bytesPerSecond, deadlineMs: PATIENCE_MS + transferMs + 20 * rttMs };
}
