// The clock of a drill. The wall clock may be set in the middle of an hour, and each process counts performance.now() from its own
// idea of it; this one is the same in all processes of a machine, and nobody sets it.

import { monotonicMs as now } from '@resplice/service-kit/clock';

export { now };

/** What the wall clock says that moment was, ms since 1970. */
export function epochOf(at: number): number {
  return Date.now() - (now() - at);
}

/** That moment of the wall clock, which is not long ago. @param epochMs ms since 1970 */
export function momentOf(epochMs: number): number {
  return now() - (Date.now() - epochMs);
}
