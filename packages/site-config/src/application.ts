// What a listener or one of its routes says about the application behind it (P6.2): the logger follows it when a back
// end fails in the middle of a transaction.

import { z } from 'zod';
import { duration, headerName, name } from './field.ts';

/** The name of the time-out class of requests whose route and listener name none. */
export const DEFAULT_CLASS = 'default';
const MAX_TIMEOUT_MS = 3_600_000;

/** By these a client finds the end and the meaning of the bytes that it has already: they cannot differ. */
const NEVER_MASKED = new Set([
  'content-length',
  'transfer-encoding',
  'content-encoding',
  'content-range',
  'content-type',
  'connection',
  'trailer',
]);

/** The tags of a transaction (P6.5); what is absent follows from the kind, and the kind from the method. */
export const tags = z
  .strictObject({
    kind: z.enum(['read', 'update']).optional().meta({
      description: 'whether it changes state',
      absent: '`read` for GET, HEAD and OPTIONS, else `update`',
    }),
    deterministic: z.boolean().optional().meta({
      description: 'whether another back end would answer with the same bytes',
      range: '`true`, `false`',
      absent: 'reads: until an answer proves otherwise; updates: `false`',
    }),
    idempotent: z.boolean().optional().meta({
      description: 'whether it may run twice with the effect of once',
      range: '`true`, `false`',
      absent: '`true` for reads, `false` for updates',
    }),
  })
  .superRefine(({ kind, idempotent }, context) => {
    if (kind !== 'read' || idempotent !== false) return;
    const message = 'a read changes nothing, so it can run again: leave idempotent out, or say kind: update';
    context.addIssue({ code: 'custom', path: ['idempotent'], message });
  });

const maskedHeader = headerName.superRefine((header, context) => {
  if (!NEVER_MASKED.has(header.toLowerCase())) return;
  const message = `${header} must not differ: a client reads by it the bytes that it has already`;
  context.addIssue({ code: 'custom', message });
});

/** The fields that a listener and a route share; a route's replace its listener's, one by one. */
export function applicationFields(absent: string) {
  return {
    tags: tags.optional().meta({ description: 'what running a request again would do (P6.5)', absent }),
    mask: z.array(maskedHeader).max(64).optional().meta({
      description:
        'response headers that may differ when a response is made again: the client keeps those it has. `date` always may',
      range: 'header names, any case',
      absent,
    }),
    timeouts: name.optional().meta({
      description: 'how long a back end may be silent',
      range: 'a name of `timeoutClasses`, or `default`',
      absent,
    }),
    journal: z.enum(['none', 'response', 'state']).optional().meta({
      description:
        "what the application leaves at its alternate before it answers (P9.2), so that another back end can go on with it; it needs the back ends' kit",
      absent,
    }),
  };
}

export const applicationFieldNames = Object.keys(applicationFields('')) as readonly string[];

function timing(floor: string, start: string, cap: string) {
  const range = '10ms…60m';
  return z
    .strictObject({
      floor: duration(10, MAX_TIMEOUT_MS, range, floor, 'shortest time-out that is learnt'),
      start: duration(10, MAX_TIMEOUT_MS, range, start, 'time-out while nothing is learnt, kept within both'),
      cap: duration(10, MAX_TIMEOUT_MS, range, cap, 'longest time-out, whatever is learnt'),
    })
    .superRefine(({ floor, cap }, context) => {
      // Either of them may be a default, which stands nowhere in the text.
      if (cap < floor)
        context.addIssue({ code: 'custom', message: `has a floor (${floor}ms) above its cap (${cap}ms)` });
    })
    .prefault({});
}

/** The bounds of what is learnt for a class of requests, ms (P10). */
export const timeoutClass = z.strictObject({
  first: timing('400ms', '10s', '60s').meta({
    description: "from a request's last byte to its response's first",
    absent: 'as below',
  }),
  rest: timing('400ms', '10s', '60s').meta({
    description: "silence within a response, while it is the server's turn",
    absent: 'as below',
  }),
});

const ms = z.int().min(10).max(MAX_TIMEOUT_MS);
const timingInMs = z.strictObject({ floor: ms, start: ms, cap: ms });

/** A checked site's `timeoutClasses`, as a daemon's configuration repeats them. */
export const timeoutClassesInMs = z.record(name, z.strictObject({ first: timingInMs, rest: timingInMs }));

export type Tags = z.output<typeof tags>;
export type Journal = 'none' | 'response' | 'state';
export type TimeoutClass = z.output<typeof timeoutClass>;
/** Milliseconds, floor ≤ cap; `start` may lie outside and is then the nearer of them. */
export type Timing = TimeoutClass['first'];

/** The bounds of a class that the site does not describe. */
export const DEFAULT_TIMEOUTS: TimeoutClass = timeoutClass.parse({});
