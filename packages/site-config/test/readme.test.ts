import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { renderReadme } from '../readme.ts';
import { site } from '../src/schema.ts';
import { siteOf } from './site.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('examples, fields and problems in the README are what the code says', () => {
  assert.equal(readme, renderReadme(readme), 'run node packages/site-config/readme.ts');
});

test('the README names every field at its place', () => {
  const [, table] = /<!-- fields -->([\s\S]*)<!-- \/fields -->/.exec(readme)!;
  for (const field of Object.keys(site.shape)) assert.ok(table!.includes(`| \`${field}\` `), field);
  const described = table!.split('\n').filter(line => line.startsWith('| `'));
  for (const row of described) assert.ok(!/^\| `[^`]+` \| +\|/.test(row), `no meaning: ${row}`);
});

test('the smallest site of the README is sound', () => {
  const [, smallest] = /```yaml\n([\s\S]*?)```/.exec(readme)!;
  assert.equal(siteOf(smallest!).listeners[0]?.name, 'web');
});
