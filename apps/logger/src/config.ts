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

export const loggerConfig = z.strictObject({
  ...daemonFields,
  /** What stands here so far: a plain router with probed next hops. */
  role: z.literal('router'),
  vips,
  /** Towards the proxies. */
  middle: addressedDevice,
  /** Where the back ends' packets come in. */
  back: device,
  proxies: distinct(peer, 'name', 'id', 'address').min(1).max(64),
  /** How packets are spread over the proxies. */
  steering: z.enum(steeringModes).default('hash'),
  /** UDP port of the proxies' questions about each other. */
  controlPort: port,
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
  probe: probe.prefault({}),
});

export type LoggerConfig = z.infer<typeof loggerConfig>;
