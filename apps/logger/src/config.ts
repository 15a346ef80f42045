import {
  addressedDevice,
  componentName,
  daemonFields,
  distinct,
  ipAddress,
  peer,
  port,
  probe,
  steeringModes,
  vips,
} from '@resplice/service-kit';
import { listenerSchema, poolSchema, recoveryInMs, timeoutClassesInMs } from '@resplice/site-config';
import { z } from 'zod';
import { roles } from './role.ts';

export const loggerConfig = z.strictObject({
  ...daemonFields,
  /** Here 'front'; the other one has a schema of its own. */
  role: z.enum(roles),
  vips,
  /** Towards the proxies. */
  middle: addressedDevice,
  /** Towards the back ends. */
  back: addressedDevice,
  proxies: distinct(peer, 'name', 'id', 'address').min(1).max(64),
  /** In the order in which one is the other's alternate. */
  backends: distinct(z.strictObject({ ...peer.shape, port }), 'name', 'id', 'address')
    .min(1)
    .max(64),
  /** Back-end loggers, which are told what may be forgotten; at the same port as the kits. */
  auxiliaries: distinct(z.strictObject({ name: componentName, address: ipAddress }), 'name', 'address')
    .max(64)
    .default([]),
  /** How packets are spread over the proxies. */
  steering: z.enum(steeringModes).default('hash'),
  /** UDP port of the proxies' questions about each other. */
  controlPort: port,
  /** TCP port of the back ends' kits, the same on every host. */
  kitPort: port.default(7002),
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
  probe: probe.prefault({}),
  /** Connections that are logged at once; others pass unprotected. */
  maxConnections: z.int().min(1024).max(16_777_216).default(262_144),
  /** When nobody has read the log for so long, ms, connections pass unprotected; 0: they stand still. */
  passUnloggedAfterMs: z.int().min(0).max(3_600_000).default(2000),
  /** What the application's requests are (P6.2), and by which rules they are judged (P2.2). */
  listeners: z.array(listenerSchema).min(1),
  pools: z.record(z.string(), poolSchema).default({}),
  /** Longest head of a request of a listener that is not uniform, bytes; of others only the first is limited, by the proxies. */
  headBytes: z.int().min(1024).max(65_536).default(65_536),
  /** For a later head of a request, ms: from its first byte to its last; proxies see to the first one. */
  headTimeoutMs: z.int().min(1000).max(300_000).default(30_000),
  timeoutClasses: timeoutClassesInMs.default({}),
  recovery: recoveryInMs,
  /** Names of back ends that are to be empty. */
  draining: z.array(componentName).default([]),
  /** For requests that are too long for memory: a directory on a disk. */
  spillDirectory: z.string().startsWith('/').default('/var/lib/resplice'),
});

export type LoggerConfig = z.infer<typeof loggerConfig>;
