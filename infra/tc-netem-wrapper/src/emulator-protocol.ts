/** What the emulator and its thread share. */
import type { MessagePort } from 'node:worker_threads';
import type { LineCounters } from './delay-line.ts';
import type { Shape } from './shape.ts';

export interface EmulatorData {
  readonly namespace: string | undefined;
  /** Names of the devices to make: the near one, the far one. */
  readonly devices: readonly [string, string];
  /** An eventfd that tells of messages. */
  readonly bell: number;
  readonly seed: number;
  readonly shared: SharedArrayBuffer;
  /** Longest frame, bytes. */
  readonly slotBytes: number;
  /** Packets that may be under way in a direction; a power of two. */
  readonly capacity: number;
  readonly port: MessagePort;
}

export type EmulatorMessage = Shape | 'stop';

export const counterNames = [
  'offered',
  'delivered',
  'deliveredBytes',
  'droppedByQueue',
  'droppedByLoss',
] as const satisfies readonly (keyof LineCounters)[];

/** Offsets in the shared memory, and its size. */
export const Shared = {
  /** Three words of 32 bits: */
  state: 0,
  words: 3,
  /** how many rings of the bell were answered, */
  answers: 0,
  /** and the devices' descriptors, 0 if there are none. */
  near: 1,
  far: 2,
  counters: 16,
  bytes: 16 + 2 * counterNames.length * 8,
} as const;
