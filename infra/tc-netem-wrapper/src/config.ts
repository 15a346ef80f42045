import { daemonFields, deviceName } from '@resplice/service-kit';
import { z } from 'zod';
import { checkShape, ShapeError, type ShapeInput } from './shape.ts';

const shape = z.record(z.string(), z.unknown()).transform((input, context) => {
  try {
    return checkShape(input as ShapeInput);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    for (const message of error.problems) context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }
});

export const linkConfig = z.strictObject({
  ...daemonFields,
  /** The ends of the link, devices of the daemon's own network namespace. */
  near: deviceName,
  far: deviceName,
  /** {@link ShapeInput} */
  shape,
  /** Repeats a run's losses; drawn and logged if absent. */
  seed: z.int().min(1).max(2147483647).optional(),
});

export type LinkConfig = z.infer<typeof linkConfig>;
