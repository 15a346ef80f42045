import { daemonFields, deviceName, distinct, ipAddress, peer, port } from '@resplice/service-kit';
import { z } from 'zod';

export const agentConfig = z.strictObject({
  ...daemonFields,
  /** The back end's link, where both programs are attached. */
  device: deviceName,
  /** This host's own address on it, where the application listens. */
  address: ipAddress,
  app: z.strictObject({ port }),
  /** Who may have connections translated. */
  proxies: distinct(peer, 'name', 'id', 'address').min(1).max(256),
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
  /** TCP port on the loopback device where the application asks who its clients are. */
  identityPort: port.default(7003),
  /** Connections translated at most; the least recently used is forgotten first. */
  maxConnections: z.int().min(1024).max(16_777_216).default(262_144),
  /** New connections are to go to others; those that are here stay until the logger has moved them. */
  draining: z.boolean().default(false),
});

export type AgentConfig = z.infer<typeof agentConfig>;
