import {
  addressedDevice,
  daemonFields,
  device,
  distinct,
  peer,
  port,
  probe,
  steeringModes,
  vips,
} from '@resplice/service-kit';
import { z } from 'zod';

export const lbConfig = z.strictObject({
  ...daemonFields,
  vips,
  /** Where the clients' packets come in. */
  wan: device,
  /** Towards the proxies. */
  front: addressedDevice,
  proxies: distinct(peer, 'name', 'id', 'address').min(1).max(64),
  /** How packets are spread over the proxies. */
  steering: z.enum(steeringModes).default('hash'),
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
  probe: probe.prefault({}),
});

export type LbConfig = z.infer<typeof lbConfig>;
