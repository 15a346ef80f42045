import { z } from 'zod';
import { MAX_HEAD } from './head.ts';

/** How much of a client is held before there is a back end, and for how long. */
export const limits = z.strictObject({
  /** Longest request head, bytes. */
  headBytes: z.int().min(1024).max(MAX_HEAD).default(MAX_HEAD),
  /** From a head's first byte to its last. */
  headTimeoutMs: z.int().min(1000).max(300_000).default(30_000),
  /** How long a back end may take to accept a connection before the next is asked. */
  connectTimeoutMs: z.int().min(50).max(10_000).default(400),
});

/** In force now: a reload changes them in place, so read them when they are needed. */
export type Limits = Readonly<z.infer<typeof limits>>;
