// The one schema of `resplice.yaml`: types, checks and the README's table of fields are derived from it.
// Objects are strict: a misspelt optional field must not silently mean its default.
// What refers to something else (pools, back ends, other listeners, files) is checked by `rules.ts`.

import { z } from 'zod';
import { applicationFields, timeoutClass } from './application.ts';
import { MAX_DURATION_MS } from './duration.ts';
import { cidr, cookieName, cookieValue, duration, headerName, headerValue, method, name } from './field.ts';
import { isHostPattern } from './host.ts';

/** Longest request head that a proxy can hold, bytes. */
export const MAX_HEAD_BYTES = 65_536;

export const match = z.strictObject({
  methods: z
    .array(method)
    .min(1, 'must have at least 1 item; without `methods` every one matches')
    .max(32)
    .optional()
    .meta({
      description: 'methods, one of which it must be; `HEAD` is one of its own',
      range: 'such as `[POST]`',
    }),
  host: z
    .string()
    .refine(isHostPattern, 'must be a lower-case host such as www.example.com, or *.example.com')
    .optional()
    .meta({
      description:
        "the request's host: exact, or `*.suffix` for everything below it (any depth, not the suffix itself)",
      range: 'lower case, no port',
    }),
  pathPrefix: z
    .string()
    .regex(
      /^(?:\/[A-Za-z0-9._~!$&'()*+,=:@-]*[A-Za-z0-9_~!$&'()*+,=:@-])*\/?$/,
      'must be a plain path such as /api: no escapes, no query, no segment that is empty or ends with a dot',
    )
    .min(1, 'must be a plain path such as /api, or / for every path')
    .max(1024)
    .optional()
    .meta({
      description: 'begin of the path, whole segments: `/api` is `/api` and `/api/…`, not `/apiary`',
      range: 'begins with `/`',
    }),
  header: z
    .strictObject({
      name: headerName.meta({ description: 'header field, any case', range: 'a token' }),
      value: headerValue
        .optional()
        .meta({ description: 'its exact value', range: 'printable ASCII', absent: 'any value' }),
    })
    .optional()
    .meta({ description: 'a header that must be there' }),
  cookie: z
    .strictObject({
      name: cookieName.meta({ description: 'cookie, case matters', range: 'a token' }),
      value: cookieValue
        .optional()
        .meta({ description: 'its exact value', range: 'printable ASCII', absent: 'any value' }),
    })
    .optional()
    .meta({ description: 'a cookie that must be there' }),
});

/** One step of a listener's routing, and what is known about the requests that take it. */
export const route = z.strictObject({
  match: match
    .prefault({})
    .meta({ description: 'conditions, all of which must hold', absent: 'every request' }),
  pool: name.meta({ description: 'where a request that matches goes', range: 'a name of `pools`' }),
  ...applicationFields("the listener's"),
});

export const basic = z.strictObject({
  realm: z
    .string()
    .regex(
      /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,128}$/,
      'must be 1…128 printable ASCII characters without " and \\',
    )
    .meta({ description: 'what the browser shows when it asks', range: '1…128 characters' }),
  htpasswd: z
    .string()
    .min(1, 'must be the path of an htpasswd file')
    .max(4096)
    .meta({ description: 'file of users, `htpasswd -B -C 10`', range: 'relative to this file' }),
});

export const listener = z.strictObject({
  name: name.meta({ description: 'how reports and metrics call it', range: 'unique' }),
  port: z.int().min(1).max(65_535).meta({ description: 'TCP port of the VIP', range: '1…65535, unique' }),
  pool: name
    .optional()
    .meta({ description: 'where all requests go', range: 'a name of `pools`; this or `routes`' }),
  routes: z
    .array(route)
    .min(1)
    .optional()
    .meta({ description: 'ordered, the first that matches wins; none → 404', range: 'this or `pool`' }),
  allow: z
    .array(cidr)
    .min(1, 'must have at least 1 item; without `allow` everyone is admitted')
    .max(10_000)
    .optional()
    .meta({
      description: 'networks whose clients are admitted; an address alone is a /32',
      range: 'IPv4 CIDR, no host bits',
      absent: 'everyone',
    }),
  auth: z
    .strictObject({ basic: basic.meta({ description: 'HTTP Basic (RFC 7617)' }) })
    .optional()
    .meta({ description: 'who must say who they are', absent: 'no one' }),
  protect: z.boolean().optional().meta({
    description:
      "whether the logger records what passes, so that a back end's death is survived (P7). `false`: only a proxy's is, and requests cost less",
    range: '`true`, `false`',
    absent: '`true`',
  }),
  ...applicationFields('see below'),
});

export const pool = z.strictObject({
  backends: z
    .union([z.literal('all'), z.array(name).min(1)], {
      error: 'must be all, or a list of back ends such as [backend-1, backend-2]',
    })
    .meta({ description: 'its members', range: '`all`, or a list of names' }),
  balance: z
    .enum(['least-connections'])
    .default('least-connections')
    .meta({ description: 'who takes a new connection' }),
  affinity: z
    .strictObject({
      cookie: cookieName.meta({ description: 'cookie whose value decides', range: 'a token' }),
    })
    .optional()
    .meta({ description: 'keep a session at one back end', absent: 'none' }),
});

export const limits = z.strictObject({
  headBytes: z
    .int()
    .min(1024)
    .max(MAX_HEAD_BYTES)
    .default(MAX_HEAD_BYTES)
    .meta({ description: 'longest request head, bytes; beyond → 431' }),
  headTimeout: duration(
    1000,
    MAX_DURATION_MS,
    '1s…5m',
    '30s',
    "from a head's first byte to its last; beyond → 408",
  ),
  connectTimeout: duration(
    50,
    10_000,
    '50ms…10s',
    '400ms',
    'how long a back end may take to accept a connection before the next is asked',
  ),
  connections: z
    .int()
    .min(1024)
    .max(16_777_216)
    .default(262_144)
    .meta({ description: 'connections held at most; the least recently used makes room' }),
});

export const recovery = z.strictObject({
  wait: duration(
    0,
    MAX_DURATION_MS,
    '0s…5m',
    '5s',
    'how long a request waits for a back end when none is left; beyond, it is refused',
  ),
  requestBytes: z.int().min(MAX_HEAD_BYTES).max(67_108_864).default(1_048_576).meta({
    description: "memory for a connection's unfinished requests, bytes; what is longer goes to disk",
  }),
  spillBytes: z.int().min(0).max(1_099_511_627_776).default(1_073_741_824).meta({
    description:
      'longest request that is kept, bytes; beyond, it is unprotected, and counted. 0: nothing goes to disk',
  }),
});

/** A checked site's `recovery`, as a daemon's configuration repeats it. */
export const recoveryInMs = recovery.extend({ wait: z.int().min(0).max(MAX_DURATION_MS) });

export const site = z.strictObject({
  // The kernel halves keep twice as many: removed ones close slowly.
  listeners: z
    .array(listener)
    .min(1)
    .max(100)
    .meta({ description: 'where clients connect', range: 'one to 100' }),
  pools: z.record(name, pool).meta({
    description: 'back ends that do the same work, by a name of your choice',
    range: 'at least one',
  }),
  limits: limits.prefault({}).meta({ description: 'how much is held, and for how long', absent: 'as below' }),
  timeoutClasses: z.record(name, timeoutClass).prefault({}).meta({
    description: 'how patient the logger is, by a name of your choice; `default` is for all who name none',
    absent: 'none',
  }),
  recovery: recovery
    .prefault({})
    .meta({ description: 'what is kept for the death of a back end', absent: 'as below' }),
});

/** A checked site. Durations are milliseconds, htpasswd paths absolute, defaults filled in; plain JSON. */
export type Site = z.output<typeof site>;
/** A site as it may be written. */
export type SiteInput = z.input<typeof site>;
export type Listener = Site['listeners'][number];
export type Route = NonNullable<Listener['routes']>[number];
export type Match = Route['match'];
export type Pool = Site['pools'][string];
export type Limits = Site['limits'];
export type Recovery = Site['recovery'];

/** The back ends of a pool, in the pool's order. */
export function backendsOf(pool: Pool, all: readonly string[]): readonly string[] {
  return pool.backends === 'all' ? all : pool.backends;
}
