// Which of its two roles a logger is to play. Whatever is wrong with its arguments or its file, the front role's start says.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

export const roles = ['front', 'auxiliary'] as const;

/** @param argv as of the process */
export function roleOf(argv: readonly string[]): (typeof roles)[number] {
  try {
    const options = { config: { type: 'string' } } as const;
    const { values } = parseArgs({ args: argv.slice(2), options, strict: false });
    const { role } = JSON.parse(readFileSync(String(values.config), 'utf8'));
    return roles.find(each => each === role) ?? 'front';
  } catch {
    return 'front';
  }
}
