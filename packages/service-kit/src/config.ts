// Configuration: one schema a program; a wrong file is refused with all of its problems at once.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { z } from 'zod';

/** Exit code for a wrong configuration (EX_CONFIG of sysexits.h). */
export const EXIT_CONFIG = 78;

/** A configuration that cannot be used. */
export class ConfigError extends Error {
  /** One `config: path: sentence` each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

/** `['proxies', 1, 'address']` → `proxies[1].address`. */
function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** Whether the file has anything at that path. */
function present(value: unknown, path: Path): boolean {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return false;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return true;
}

function article(noun: string): string {
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function units(origin: string, count: number | bigint): string {
  if (origin === 'string') return ` character${count === 1 ? '' : 's'}`;
  if (origin === 'array') return ` item${count === 1 ? '' : 's'}`;
  return '';
}

function sentence(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected === 'int' ? 'integer' : issue.expected)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${units(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${units(issue.origin, issue.maximum)}`;
    case 'invalid_value':
      return `must be ${issue.values.map(value => JSON.stringify(value)).join(' or ')}`;
    default:
      return issue.message;
  }
}

/** A problem's lines; a single issue may stand for several unknown fields. */
function describe(issue: Issue, root: unknown, prefix: Path): string[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key => `config: ${formatPath([...path, key])}: unknown field`);
  }
  // A length limit's own message is a whole sentence; zod's defaults are not.
  const own = issue.code === 'too_big' && issue.message.startsWith('must ') ? issue.message : sentence(issue);
  const what = present(root, issue.path) ? own : 'missing';
  return [`config: ${path.length > 0 ? `${formatPath(path)}: ` : ''}${what}`];
}

/**
 * Checks a configuration that was read already.
 * @throws ConfigError naming every problem
 */
export function checkConfig<T extends z.ZodType>(schema: T, value: unknown, prefix: Path = []): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(result.error.issues.flatMap(issue => describe(issue, value, prefix)));
}

/** A configuration file's text. `sha256` is that of its bytes, in hex. */
export interface ConfigText {
  file: string;
  text: string;
  sha256: string;
}

/** @throws ConfigError */
export function readConfigText(file: string): ConfigText {
  try {
    const bytes = readFileSync(file);
    return { file, text: bytes.toString(), sha256: createHash('sha256').update(bytes).digest('hex') };
  } catch (cause) {
    throw new ConfigError([`config: ${file} cannot be read: ${(cause as Error).message}`], { cause });
  }
}

/**
 * Checks the JSON of a configuration file.
 * @throws ConfigError naming every problem
 */
export function parseConfig<T extends z.ZodType>(schema: T, { file, text }: ConfigText): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError([`config: ${file} is not JSON: ${(cause as Error).message}`], { cause });
  }
  return checkConfig(schema, value);
}
