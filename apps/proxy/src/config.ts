import {
  addressedDevice,
  componentName,
  daemonFields,
  distinct,
  id,
  ipAddress,
  peer,
  port,
  vips,
} from '@resplice/service-kit';
import { z } from 'zod';
import { limits } from './limits.ts';

const backend = z.strictObject({ name: componentName, id, address: ipAddress, port });

export const proxyConfig = z.strictObject({
  ...daemonFields,
  front: addressedDevice,
  /** Its address is where peers and back ends reach this proxy. */
  middle: addressedDevice,
  vips,
  peers: distinct(peer, 'name', 'id', 'address'),
  backends: distinct(backend, 'name', 'id', 'address').min(1),
  /** UDP port of the records between proxies, the same on every proxy. */
  controlPort: port,
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
  /** Spliced connections held at most; the least recently used is forgotten first. */
  maxConnections: z.int().min(1024).max(16_777_216).default(262_144),
  limits: limits.prefault({}),
});

export type ProxyConfig = z.infer<typeof proxyConfig>;
export type BackendConfig = ProxyConfig['backends'][number];
export type PeerConfig = ProxyConfig['peers'][number];
