/** Listeners with rules for each request: what comes later on a kept-alive connection is judged like what came first. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { ClientConnection } from './fixtures/client.ts';
import { Lab, labTest } from './fixtures/lab.ts';

const directory = mkdtempSync(join(tmpdir(), 'resplice-enforcement-'));
after(() => rmSync(directory, { recursive: true }));

const RULES = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { header: { name: x-pool } }, pool: second }
      - { match: { pathPrefix: /bytes }, pool: all }
      - { pool: first }
pools:
  first: { backends: [backend-1] }
  second: { backends: [backend-2] }
  all: { backends: all }
`;

let lab: Lab;
before(async () => {
  const file = join(directory, 'resplice.yaml');
  writeFileSync(file, RULES);
  lab = await Lab.up({ config: file });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function connect(): Promise<ClientConnection> {
  return (await lab.client()).connect({ ...lab.site, bufferBytes: 131_072 });
}

async function servedBy(connection: ClientConnection, headers: Record<string, string> = {}): Promise<string> {
  const { status, text } = await connection.request({ path: '/whoami', headers, deadlineMs: 5000 }).done;
  assert.equal(status, 200);
  return JSON.parse(text!).backend;
}

labTest('one connection, two routes to two pools: each request gets to its own', theLab, async t => {
  const connection = await connect();
  const places: string[] = [];
  const started = performance.now();
  for (let i = 0; i < 20; i++) places.push(await servedBy(connection, i % 2 ? { 'X-Pool': 'b' } : {}));
  t.diagnostic(`${((performance.now() - started) / 20).toFixed(1)} ms a request`);
  assert.deepEqual(
    places,
    Array.from({ length: 20 }, (_, i) => (i % 2 ? 'backend-2' : 'backend-1')),
  );
  await connection.close();
});
