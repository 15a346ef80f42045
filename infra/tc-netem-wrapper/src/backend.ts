import type { LineCounters } from './delay-line.ts';
import type { Shape } from './shape.ts';

/** The kernel's own link emulation, or ours. */
export type EmulatorName = 'tc-netem' | 'tap';

export interface LinkCounters {
  readonly there: Readonly<LineCounters>;
  readonly back: Readonly<LineCounters>;
}

/** What treats the packets of one link. It joins two bridges that exist already. */
export interface Backend {
  readonly name: EmulatorName;
  /** What repeats this run's losses, or null where the kernel rolls its own dice. */
  readonly seed: number | null;
  change(shape: Shape): Promise<void>;
  counters(): Promise<LinkCounters>;
  /** Takes its own devices away. */
  stop(): Promise<void>;
  /** Rejects when the link has died by itself; never resolves. */
  readonly died: Promise<never>;
}

/** Where a back end stands: the names of the ends' devices, and of the bridges between which it carries. */
export interface Site {
  readonly near: string;
  readonly far: string;
  /** The link's own devices, at most 15 characters each. */
  readonly own: OwnDevices;
  /** Longest packet of the link, without its Ethernet header; bytes. */
  readonly mtu: number;
}

export interface OwnDevices {
  readonly nearBridge: string;
  readonly farBridge: string;
  /** The link's ends in the two bridges. */
  readonly a: string;
  readonly b: string;
  /** Of the kernel's emulation alone: what lies between. */
  readonly middleBridge: string;
  readonly aInside: string;
  readonly bInside: string;
  /** Of a link on a bridge's port: the way back into that bridge. */
  readonly portInside: string;
  readonly portOutside: string;
}

/** @throws RangeError */
export function devicesNamed(tag: string): OwnDevices {
  if (!/^[a-z][a-z0-9]{0,8}$/.test(tag)) {
    throw new RangeError(`tag: must be one to nine lower-case letters and digits, a letter first`);
  }
  return {
    nearBridge: `${tag}-near`,
    farBridge: `${tag}-far`,
    a: `${tag}-a`,
    b: `${tag}-b`,
    middleBridge: `${tag}-mid`,
    aInside: `${tag}-a-in`,
    bInside: `${tag}-b-in`,
    portInside: `${tag}-port`,
    portOutside: `${tag}-back`,
  };
}
