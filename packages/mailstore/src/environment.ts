// Configuration from the environment: all that is wrong with it at once.

import type { z } from 'zod';

/** Exit code for a wrong configuration (EX_CONFIG of sysexits.h). */
const EXIT_CONFIG = 78;

/** One line for each variable that is wrong: `config: PORT: …`. */
export function problemsOf(error: z.ZodError): readonly string[] {
  return error.issues.map(({ path, message }) => `config: ${path.join('.')}: ${message}`);
}

/** The configuration, or the end of the process: variables that are set to nothing count as not set. */
export function readEnvironment<S extends z.ZodType>(schema: S, environment = process.env): z.output<S> {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const result = schema.safeParse(set);
  if (result.success) return result.data;
  process.stderr.write(`${problemsOf(result.error).join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}
