import { daemonFields, ipAddress, port } from '@resplice/service-kit';
import { z } from 'zod';

export const responderConfig = z.strictObject({
  ...daemonFields,
  /** Where the server beside it answers any GET with 200 while it is well. */
  server: z.strictObject({ address: ipAddress, port }),
  /** UDP port of liveness probes, the same on every host. */
  probePort: port,
});

export type ResponderConfig = z.infer<typeof responderConfig>;
