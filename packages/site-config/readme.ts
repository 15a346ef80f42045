// The parts of README.md that are made from the code: `node packages/site-config/readme.ts` writes them anew, a test
// compares.

import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { checkSite } from './src/check.ts';
import { formatProblem } from './src/problem.ts';
import { site } from './src/schema.ts';

const README = new URL('README.md', import.meta.url);
const FIXTURES = new URL('test/fixtures/', import.meta.url);
const BACKENDS = ['backend-1', 'backend-2'];

/** The README with its made parts as they should be; each stands between `<!-- name -->` and `<!-- /name -->`. */
export function renderReadme(readme: string): string {
  const parts: Record<string, () => string> = { example, fields, wrong, problems, unprotected };
  return Object.entries(parts).reduce((text, [name, make]) => {
    const between = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, 's');
    if (!between.test(text)) throw new Error(`README.md has no part ${name}`);
    return text.replace(between, (_, open: string, close: string) => `${open}\n${make()}\n\n${close}`);
  }, readme);
}

function fixture(name: string): string {
  return readFileSync(new URL(name, FIXTURES), 'utf8');
}

function example(): string {
  return `\`\`\`yaml\n${fixture('resplice.yaml')}\`\`\``;
}

function wrong(): string {
  return `\`\`\`yaml\n${fixture('wrong.yaml')}\`\`\``;
}

function problems(): string {
  return problemsOf('wrong.yaml');
}

function unprotected(): string {
  return problemsOf('unprotected.yaml');
}

function problemsOf(name: string): string {
  const directory = FIXTURES.pathname;
  const checked = checkSite(fixture(name), `${directory}${name}`, { backends: BACKENDS });
  const found = checked.ok ? checked.warnings : [...checked.problems, ...checked.warnings];
  const lines = found.map(problem => formatProblem(problem).replaceAll(directory, ''));
  return `\`\`\`\n${lines.join('\n')}\n\`\`\``;
}

interface Field {
  type?: string;
  description?: string;
  range?: string;
  absent?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  enum?: unknown[];
  items?: Field;
  properties?: Record<string, Field>;
  additionalProperties?: Field | boolean;
  required?: string[];
}

function fields(): string {
  const rows = [...rowsOf('', z.toJSONSchema(site, { io: 'input' }) as Field)];
  return table([['field', 'meaning', 'range', 'default'], ...rows]);
}

/** With columns as wide as their widest cell, which is how the formatter leaves them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  const lines = rows.map(row => row.map((cell, column) => cell.padEnd(widths[column]!)));
  lines.splice(
    1,
    0,
    widths.map(width => '-'.repeat(width)),
  );
  return lines.map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

function* rowsOf(prefix: string, parent: Field): Generator<string[]> {
  for (const [name, field] of Object.entries(parent.properties ?? {})) {
    const path = `${prefix}${name}`;
    const required = parent.required?.includes(name) ?? false;
    yield [`\`${path}\``, field.description ?? '', rangeOf(field), defaultOf(field, required)];
    if (field.items?.properties) yield* rowsOf(`${path}[].`, field.items);
    else if (field.properties) yield* rowsOf(`${path}.`, field);
    else if (typeof field.additionalProperties === 'object')
      yield* rowsOf(`${path}.NAME.`, field.additionalProperties);
  }
}

function rangeOf(field: Field): string {
  if (field.range) return field.range;
  if (field.enum) return field.enum.map(value => `\`${value}\``).join(', ');
  if (field.type !== 'integer') return '';
  return `${field.minimum?.toLocaleString('en')}…${field.maximum?.toLocaleString('en')}`;
}

function defaultOf(field: Field, required: boolean): string {
  if (field.absent) return field.absent;
  if (field.default !== undefined && typeof field.default !== 'object') return `\`${field.default}\``;
  return required ? '_required_' : '';
}

if (import.meta.main) writeFileSync(README, renderReadme(readFileSync(README, 'utf8')));
