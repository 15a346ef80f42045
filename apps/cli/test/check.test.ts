import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';

const MAIN = new URL('../src/main.ts', import.meta.url).pathname;

suite('check', () => {
  const directory = mkdtempSync(join(tmpdir(), 'resplice-check-'));
  after(() => rmSync(directory, { recursive: true }));

  function check(text: string, ...options: string[]) {
    writeFileSync(join(directory, 'resplice.yaml'), text);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [MAIN, 'check', 'resplice.yaml', ...options],
      {
        cwd: directory,
        encoding: 'utf8',
      },
    );
    return { status, stdout, stderr };
  }

  test('a valid file passes', () => {
    const { status, stdout } = check(
      'listeners: [{ name: web, port: 80, pool: web }]\npools: { web: { backends: all } }\n',
    );
    assert.deepEqual([status, stdout], [0, 'resplice.yaml: valid\n']);
  });

  test('all problems at once, each with its line, and exit 1', () => {
    const { status, stdout } = check(
      [
        'listeners:',
        '  - { name: web, port: 99999, pool: wbe }',
        'pools:',
        '  web: { backends: [backend-9] }',
        '',
      ].join('\n'),
    );
    assert.equal(status, 1);
    const lines = stdout.trim().split('\n');
    assert.equal(lines.length, 3, stdout);
    assert.match(lines[0]!, /^resplice\.yaml:2:\d+: listeners\[0\]\.port: /);
    assert.match(lines[1]!, /^resplice\.yaml:2:\d+: listeners\[0\]\.pool: .*web/);
    assert.match(lines[2]!, /^resplice\.yaml:4:\d+: pools\.web\.backends\[0\]: /);
  });

  test('rules for each request are fine: the logger enforces them', () => {
    const { status, stdout } = check(
      [
        'listeners:',
        '  - name: web',
        '    port: 80',
        '    routes: [{ match: { pathPrefix: /a }, pool: a }, { pool: b }]',
        'pools: { a: { backends: all }, b: { backends: all } }',
        '',
      ].join('\n'),
    );
    assert.deepEqual([status, stdout], [0, 'resplice.yaml: valid\n']);
  });

  test('--json says the same to scripts; --backends says which back ends there are', () => {
    const text =
      'listeners: [{ name: web, port: 80, pool: web }]\npools: { web: { backends: [backend-3] } }\n';
    const refused = JSON.parse(check(text, '--json').stdout);
    assert.equal(refused.ok, false);
    assert.equal(refused.problems[0].line, 2);
    assert.deepEqual(JSON.parse(check(text, '--json', '--backends', '3').stdout), {
      ok: true,
      problems: [],
      warnings: [],
    });
  });

  test('a file that is not there is wrong usage', () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'check', join(directory, 'none.yaml')], {
      encoding: 'utf8',
    });
    assert.equal(status, 64);
    assert.match(stderr, /none\.yaml cannot be read/);
  });
});
