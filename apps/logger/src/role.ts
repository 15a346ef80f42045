// Which of its two roles a logger is to play. Whatever is wrong with its arguments or its file, the daemon's own start says.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EXIT_CONFIG } from '@resplice/service-kit';

const ROLES = ['front', 'auxiliary'] as const;

/** @param argv as of the process; one with another role than these ends it, with a sentence */
export function roleOf(argv: readonly string[]): (typeof ROLES)[number] {
  let role: unknown;
  try {
    const { values } = parseArgs({
      args: argv.slice(2),
      options: { config: { type: 'string' } },
      strict: false,
    });
    role = JSON.parse(readFileSync(String(values.config), 'utf8')).role;
  } catch {
    return 'front';
  }
  const known = ROLES.find(each => each === role);
  if (known === undefined && typeof role === 'string') {
    process.stderr.write(`config: role: must be "front" or "auxiliary"\n`);
    process.exit(EXIT_CONFIG);
  }
  return known ?? 'front';
}
