/** 100,000 idle connections: what they cost, and that nobody waits for them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import { Lab, labTest } from './fixtures/lab.ts';
import { splicesOf } from './fixtures/splices.ts';
import { waitFor } from './fixtures/wait.ts';

const ENTRIES = 100_000;
const REAL = 50;
/** A proxy that joins has been told everything by then, its own start included. */
const TOLD_MS = 20_000;
/** `status` may take this much longer with all of them, in ms. */
const STATUS_MS = 1000;
/** What user space remembers of an entry, in bytes; the kernel's map is as large as it is from the start. */
const BYTES_PER_ENTRY = 2500;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());

async function splices(proxy: string): Promise<number> {
  return (await lab.component(proxy)).metrics.splices ?? 0;
}

async function memoryOf(proxy: string): Promise<number> {
  const { processes } = await lab.component(proxy);
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${processes.proxy}/status`, 'utf8'))![1];
  return Number(resident) * 1024;
}

async function statusMs(): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < 3; i++) {
    const started = performance.now();
    await lab.status();
    taken.push(performance.now() - started);
  }
  return Math.min(...taken);
}

/** Swaps of the steering tables so far: each death that is believed makes one. */
async function swaps(): Promise<number[]> {
  return Promise.all(
    ['lb-1', 'logger-1'].map(async name => (await lab.component(name)).metrics.steering_version!),
  );
}

labTest(
  '100,000 idle entries: a joining proxy is told all, requests go on, status stays fast',
  () => lab,
  async t => {
    const client = await lab.client();
    const real = await Promise.all(Array.from({ length: REAL }, () => client.connect(lab.site)));
    for (const each of real) assert.equal((await each.request({ path: '/whoami' }).done).status, 200);
    const memory = await memoryOf('proxy-2');
    const calmStatus = await statusMs();

    // As if proxy-1 had made them: its successor adopts what it finds in the pinned map, and tells its peer.
    const map = splicesOf('proxy-1');
    const [, pattern] = [...map.entries()][0]!;
    const createdMs = BigInt(Date.now());
    for (let i = 0; i < ENTRIES; i++) {
      const connection = {
        client: parseIp('198.18.0.0') + (i >>> 4),
        vip: parseIp(lab.vip.address),
        clientPort: 1024 + (i & 15),
        vipPort: lab.vip.port,
      };
      map.set(connection, { ...pattern, isn: i, p0: i + 7, flags: 0, createdMs, seenNs: 0n });
    }
    await lab.fault('restart', 'proxy-1/proxy');
    const adopted = performance.now();
    await waitFor(
      'proxy-2 to be told everything',
      TOLD_MS,
      async () => (await splices('proxy-2')) >= ENTRIES,
    );
    t.diagnostic(`a peer was told within ${(performance.now() - adopted).toFixed(0)} ms`);
    const grown = (await memoryOf('proxy-2')) - memory;
    t.diagnostic(`user space: ${(grown / ENTRIES).toFixed(0)} bytes an entry`);
    assert.ok(grown < ENTRIES * BYTES_PER_ENTRY, `${grown} bytes more`);

    const loadedStatus = await statusMs();
    t.diagnostic(`status: ${calmStatus.toFixed(0)} ms with ${REAL}, ${loadedStatus.toFixed(0)} ms with all`);
    assert.ok(loadedStatus <= calmStatus + STATUS_MS);

    const before = await swaps();
    const { at, healthyAt } = await lab.fault('restart', 'proxy-2');
    await waitFor(
      'proxy-2 to know everything again',
      TOLD_MS,
      async () => (await splices('proxy-2')) >= ENTRIES,
    );
    t.diagnostic(`a proxy that was started anew was healthy again after ${healthyAt! - at} ms`);
    assert.ok(healthyAt! - at <= TOLD_MS);
    // Out once, in once: nobody else was taken for dead because somebody was busy with telling.
    const after = await swaps();
    assert.deepEqual(
      after,
      before.map(version => version + 2),
    );

    for (const each of real) {
      assert.equal((await each.request({ path: '/whoami' }).done).status, 200, each.local);
    }
    await Promise.all(real.map(each => each.close()));
  },
);
