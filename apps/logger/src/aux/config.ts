import { absolutePath, componentName, daemonFields, distinct, ipAddress, port } from '@resplice/service-kit';
import { z } from 'zod';

const service = z.strictObject({
  name: componentName,
  protocol: z.enum(['smtp', 'http']),
  /** Where back ends connect to. */
  listen: z.strictObject({ address: ipAddress, port }),
  /** The auxiliary server; `host` is an address or a name. */
  upstream: z.strictObject({ host: z.string().min(1).max(253), port }),
  /**
   * Of an HTTP server: it knows a transaction by the ID in its PROXY header, and does it once. What is in doubt is asked again of such
   * a one only, unless the request is idempotent.
   */
  knowsTransactions: z.boolean().default(false),
});

const DAY_MS = 24 * 3_600_000;

export const auxiliaryConfig = z.strictObject({
  ...daemonFields,
  role: z.literal('auxiliary'),
  /** Not used: this role has no kernel half. */
  pinDirectory: absolutePath.default('/sys/fs/bpf'),
  /** Who may connect; a connection from anywhere else is refused. */
  backends: distinct(z.strictObject({ name: componentName, address: ipAddress }), 'name', 'address')
    .min(1)
    .max(64),
  services: distinct(service, 'name').min(1).max(16),
  /** Who says which transactions are over, and where; without it what they left is forgotten by its age alone. */
  commits: z
    .strictObject({
      listen: z.strictObject({ address: ipAddress, port }),
      /** Names of front-end loggers. */
      from: z.array(componentName).min(1).max(64),
    })
    .optional(),
  /** For the log, on a disk. One daemon's alone. */
  logDirectory: absolutePath,
  /** What is older may be forgotten, ms: no back end comes back to a transaction after so long. */
  keepMs: z.int().min(10_000).max(DAY_MS).default(3_600_000),
  /** Most that the log may take up, bytes; beyond, the oldest goes early, and is counted. */
  logBytes: z.int().min(1_048_576).default(1_073_741_824),
  limits: z
    .strictObject({
      /** Open connections of one service; more are turned away. */
      connections: z.int().min(1).max(65_536).default(1024),
      /** A back end sends its PROXY header within, ms. */
      headerMs: z.int().min(10).max(60_000).default(5000),
      /** A back end that is silent in its turn is cut off, ms (RFC 5321 4.5.3.2.7). */
      idleMs: z.int().min(100).max(3_600_000).default(300_000),
      /** An auxiliary server that is silent in its turn is given up, ms. */
      upstreamMs: z.int().min(100).max(3_600_000).default(60_000),
      /** What a dead back end began is kept open for its successor, ms. */
      lingerMs: z.int().min(100).max(3_600_000).default(60_000),
      /** Longest message of a mail dialogue, bytes. */
      messageBytes: z.int().min(1024).default(67_108_864),
      /** Longest body of an HTTP response that is recorded, bytes; longer ones pass unprotected and are counted. */
      responseBytes: z.int().min(1024).max(67_108_864).default(67_108_864),
    })
    .prefault({}),
});

export type AuxiliaryConfig = z.infer<typeof auxiliaryConfig>;
export type ServiceConfig = AuxiliaryConfig['services'][number];
export type Limits = AuxiliaryConfig['limits'];
