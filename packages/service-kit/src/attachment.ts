// A BPF program on a device, and kept there.

import { attachTc, type BpfProgram, type Direction, isAttachedTc } from '@resplice/dataplane';
import type { Log } from './log.ts';
import type { Upkeep } from './upkeep.ts';

/**
 * Attaches a program in place of whatever a former run left there, and again whenever it has gone with its device or its
 * qdisc. A missing device is a problem of the upkeep, not an error: links come and go.
 */
export function keepAttached(
  upkeep: Upkeep,
  device: string,
  direction: Direction,
  program: BpfProgram,
  log: Log,
): void {
  let attachedOnce = false;
  upkeep.add(`${program.name} at ${device} ${direction}`, () => {
    if (attachedOnce && isAttachedTc(device, direction)) return;
    // From here a crash leaves the old program or the new one: both work on the same pinned maps.
    attachTc(device, direction, program);
    const where = { device, direction, program: program.name, tag: program.tag };
    if (attachedOnce) log.warn(where, 'the program was gone, attached again');
    else log.info(where, 'attached');
    attachedOnce = true;
  });
}
