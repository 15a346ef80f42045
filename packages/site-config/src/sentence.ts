// zod's issues in our words.

import { z } from 'zod';
import type { Finding, Path } from './problem.ts';
import { suggestion } from './suggestion.ts';

type Issue = z.core.$ZodIssue;

/** A schema's complaints about a value; an issue about several unknown fields becomes one finding each. */
export function findings(schema: z.ZodType, value: unknown): Finding[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  return result.error.issues.flatMap(issue => describe(schema, issue, value));
}

function describe(schema: z.ZodType, issue: Issue, root: unknown): Finding[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(schema, path);
    return issue.keys.map(key => ({
      path: [...path, key],
      sentence: `unknown field${suggestion(key, known)}`,
      atKey: true,
    }));
  }
  if (issue.code === 'invalid_key') {
    const sentence = issue.issues.map(inner => inner.message).join(', ');
    return [{ path, sentence, atKey: true }];
  }
  const { found, value } = lookUp(root, path);
  if (!found) return [{ path, sentence: 'missing' }];
  return [{ path, sentence: sentenceOf(issue, value) }];
}

function sentenceOf(issue: Issue, value: unknown): string {
  // A sentence of the schema's own is better than any that is made here; zod's begin like this.
  if (!/^(?:Invalid|Too|Unrecognized)/.test(issue.message)) {
    return value === null ? `${issue.message}, but it is empty` : issue.message;
  }
  switch (issue.code) {
    case 'invalid_type':
      return expected(issue.expected, value);
    case 'too_small':
      return `must be at least ${issue.minimum}${units(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${units(issue.origin, issue.maximum)}`;
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(' or ')}`;
    default:
      return issue.message;
  }
}

const NOUNS: Record<string, string> = {
  array: 'a list',
  object: 'a map of fields',
  record: 'a map of names',
  string: 'text',
  number: 'an integer',
  boolean: 'true or false',
};

function expected(type: string, value: unknown): string {
  const noun = NOUNS[type] ?? type;
  if (value === null) return `must be ${noun}, but it is empty`;
  // `value: 1` and `value: true` are what they look like in YAML, and no text.
  if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return `must be text: write "${value}" in quotes`;
  if (type === 'number' && typeof value === 'string' && /^\d+$/.test(value))
    return `must be ${noun}: write ${value} without quotes`;
  return `must be ${noun}`;
}

function units(origin: string, count: number | bigint): string {
  if (origin === 'string') return ` character${count === 1 ? '' : 's'}`;
  if (origin === 'array') return ` item${count === 1 ? '' : 's'}`;
  return '';
}

function lookUp(root: unknown, path: Path): { found: boolean; value: unknown } {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part))
      return { found: false, value: undefined };
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return { found: value !== undefined, value };
}

/** The fields that the schema has at a path. */
function fieldsAt(schema: z.ZodType, path: Path): string[] {
  let at: z.core.$ZodType = bare(schema);
  for (const part of path) {
    if (at instanceof z.ZodObject) at = bare(at.shape[String(part)]);
    else if (at instanceof z.ZodArray) at = bare(at.element);
    else if (at instanceof z.ZodRecord) at = bare(at.valueType);
    else return [];
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

/** Without the wrappers of optional fields and defaults. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodPrefault)
    at = at.unwrap();
  return at;
}
