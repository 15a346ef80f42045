/** `resplice.yaml` in force: listeners, pools, allow-lists, affinity, limits; and other rules while connections go on. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HUNDRED_MB, HUNDRED_MB_SHA256, siteFiles } from '@resplice/demo';
import type { ReloadReport } from '@resplice/engines';
import { type ConnectOptions, ExchangeError, type RequestOptions } from './fixtures/exchange.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { type StaticSite, writeStaticSite } from './fixtures/static-site.ts';
import { waitFor } from './fixtures/wait.ts';

const OTHER_CLIENT = '10.61.0.3';
/** FAULTS.md: a member that is down is known to the proxies within a probe; a refusal is answered by the next at once. */
const MOVED_MS = 5000;

const RULES = `
listeners:
  - { name: web, port: 80, pool: web }
  - { name: api, port: 9100, pool: api }
  - { name: inner, port: 9200, pool: web, allow: [10.61.0.2, 192.168.0.0/16] }
pools:
  web: { backends: all, affinity: { cookie: session } }
  api: { backends: [backend-2] }
limits: { headBytes: 4096, connectTimeout: 1s }
`;

const directory = mkdtempSync(join(tmpdir(), 'resplice-config-'));
const file = join(directory, 'resplice.yaml');
after(() => rmSync(directory, { recursive: true }));

function write(text: string, name = 'resplice.yaml'): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

test('a wrong file: all problems, exit 1, and nothing is left behind', async () => {
  const wrong = write(
    `listeners:
  - { name: web, port: 80, pool: wbe }
  - { name: api, port: 80, pool: web, allow: [10.1.2.3/8] }
pools: { web: { backends: [backend-3] } }
`,
    'wrong.yaml',
  );
  const { code, stdout, stderr } = await resplice(['up', '--detach', '--config', wrong]);
  assert.deepEqual([code, stdout], [1, '']);
  for (const problem of [
    /:2:\d+: .*no pool wbe/,
    /:3:\d+: .*port/,
    /:3:\d+: .*host bits/,
    /:4:\d+: .*backend-3/,
  ])
    assert.match(stderr, problem);
  assert.match(stderr, /4 problems; nothing was changed/);
  assert.equal(existsSync('/run/resplice'), false);
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  assert.deepEqual(
    namespaces.filter(name => name.startsWith('resplice-')),
    [],
  );
});

test('a missing file, or another arm, is wrong usage', async () => {
  for (const argv of [
    ['up', '--config', join(directory, 'none.yaml')],
    ['up', '--arm', 'nginx', '--config', write(RULES)],
  ])
    assert.equal((await resplice(argv)).code, 64, argv.join(' '));
  assert.equal((await resplice(['reload', file])).code, 1, 'no lab is up');
});

describe('a site of several listeners', () => {
  let site: StaticSite;
  let lab: Lab;
  before(async () => {
    site = await writeStaticSite();
    lab = await Lab.up({ backendCommand: site.nginx, config: write(RULES) });
    const added = await lab.exec('client-1', ['ip', 'address', 'add', `${OTHER_CLIENT}/24`, 'dev', 'wan0']);
    assert.equal(added.code, 0, added.stderr);
  });
  after(async () => {
    await lab?.down();
    site?.remove();
  });
  const theLab = (): Lab => lab;

  async function ask(port: number, request: Partial<RequestOptions> = {}, own: Partial<ConnectOptions> = {}) {
    const client = await lab.client();
    return client.fetch({ host: lab.vip.address, port, ...own }, { path: '/', ...request });
  }

  /** How a connection to a port that takes none ends. */
  async function refusal(port: number): Promise<string> {
    const client = await lab.client();
    const opened = client.connect({ host: lab.vip.address, port, deadlineMs: 1500 });
    const error = await opened.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ExchangeError, `port ${port} takes connections`);
    return error.failure.kind;
  }

  const servedBy = async (...of: Parameters<typeof ask>) => (await ask(...of)).headers['x-backend'];

  async function total(metric: string, role: 'proxy' | 'backend'): Promise<number> {
    const { components } = await lab.status();
    const own = components.filter(each => each.role === role);
    return own.reduce((sum, each) => sum + (each.metrics[metric] ?? 0), 0);
  }

  async function reload(text: string): Promise<ReloadReport> {
    write(text);
    const { code, stdout, stderr } = await resplice(['reload']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as ReloadReport;
  }

  /** Rules of one test must not be the next one's. */
  const withRules = (name: string, body: (t: { diagnostic(text: string): void }) => Promise<void>) =>
    labTest(name, theLab, async t => {
      try {
        await body(t);
      } finally {
        await reload(RULES);
      }
    });

  labTest('the port decides which pool serves, and status shows both', theLab, async () => {
    const web = new Set<string | undefined>();
    for (let i = 0; i < 12; i++) {
      assert.equal(await servedBy(9100), 'backend-2');
      web.add(await servedBy(80));
    }
    assert.deepEqual([...web].sort(), ['backend-1', 'backend-2']);
    assert.notEqual(await refusal(9300), undefined);

    const { siteFile, vip, listeners, pools } = await lab.status();
    assert.equal(siteFile, file);
    assert.deepEqual(
      listeners.map(({ name, port, url, pools: to, allow }) => [
        name,
        port,
        url,
        to.join(),
        allow?.length ?? 0,
      ]),
      [
        ['web', 80, vip.url, 'web', 0],
        ['api', 9100, `http://${vip.address}:9100/`, 'api', 0],
        ['inner', 9200, `http://${vip.address}:9200/`, 'web', 2],
      ],
    );
    assert.deepEqual(
      pools.map(({ name, affinity, backends }) => [
        name,
        affinity,
        ...backends.map(b => `${b.name} ${b.state}`),
      ]),
      [
        ['web', 'session', 'backend-1 up', 'backend-2 up'],
        ['api', null, 'backend-2 up'],
      ],
    );
    const shown = (await resplice(['status'])).stdout;
    assert.match(shown, /^inner +http:\/\/10\.60\.0\.1:9200\/ +web +10\.61\.0\.2 192\.168\.0\.0\/16$/m);
    assert.match(shown, /^web +session +backend-1 \(\d+\), backend-2 \(\d+\)$/m);
  });

  labTest('a client that is not admitted gets 403, and no back end hears of it', theLab, async () => {
    const bound = await total('packets_total.in_bound', 'backend');
    const before = await total('events_total.not_admitted', 'proxy');
    const { status, headers, text } = await ask(9200, {}, { localAddress: OTHER_CLIENT });
    assert.deepEqual([status, headers.connection], [403, 'close']);
    assert.match(text!, /not admitted/);
    assert.equal((await ask(9200, { method: 'HEAD' }, { localAddress: OTHER_CLIENT })).received, 0);
    assert.equal(await total('events_total.not_admitted', 'proxy'), before + 2);
    assert.equal(await total('packets_total.in_bound', 'backend'), bound, 'back ends asked');
    assert.equal((await ask(9200)).status, 200);
    assert.equal((await ask(80, {}, { localAddress: OTHER_CLIENT })).status, 200);
  });

  labTest('a session stays at one back end, and moves when that dies', theLab, async () => {
    for (let i = 0; i < 6; i++) {
      for (const name of ['backend-1', 'backend-2'])
        assert.equal(await servedBy(80, { headers: { Cookie: `a=b; session=5A7F.${name}` } }), name);
    }
    const headers = { Cookie: 'session=0123456789abcdef' };
    const home = (await servedBy(80, { headers }))!;
    const places = new Set<string | undefined>();
    for (let i = 0; i < 20; i++) places.add(await servedBy(i % 2 ? 80 : 9200, { headers }));
    assert.deepEqual([...places], [home], 'on every connection, through whichever proxy and listener');

    await lab.fault('crash', home);
    const other = home === 'backend-1' ? 'backend-2' : 'backend-1';
    // At once: a back end that is gone refuses.
    const started = performance.now();
    for (let i = 0; i < 10; i++) assert.equal(await servedBy(80, { headers }), other);
    assert.ok(performance.now() - started < MOVED_MS);
    assert.equal(await servedBy(80, { headers: { Cookie: `session=x.${home}` } }), other);
    await waitFor('status to show the member down', 2000, async () => {
      const [web] = (await lab.status()).pools;
      return web!.backends.find(({ name }) => name === home)?.state === 'down';
    });
    await lab.heal();
    assert.equal(await servedBy(80, { headers }), home, 'and back');
  });

  labTest('one port of a client towards two listeners: neither disturbs the other', theLab, async () => {
    const client = await lab.client();
    const localPort = 20_001;
    const first = await client.connect({ ...lab.site, localPort, bufferBytes: 131_072 });
    const headers = { Cookie: 'session=x.backend-2' };
    const transfer = first.request({ path: '/100mb.bin', headers, patternFrom: 0, bytesPerSecond: 40e6 });
    await transfer.received(HUNDRED_MB / 10);
    // The pool's only back end would take it for the first connection.
    const taken = await ask(9100, {}, { localPort });
    assert.deepEqual([taken.status, taken.headers.connection], [503, 'close']);
    assert.ok((await total('packets_total.in_port_taken', 'backend')) >= 1);
    // Another pool has another back end.
    assert.equal(await servedBy(9200, { headers }, { localPort }), 'backend-1');
    const { received, firstDifference, sha256, endedAt } = await transfer.done;
    assert.ok(endedAt > taken.endedAt, 'inconclusive: the first had ended');
    assert.deepEqual([received, firstDifference, sha256], [HUNDRED_MB, -1, HUNDRED_MB_SHA256]);
    assert.equal((await first.request({ path: '/', headers }).done).headers['x-backend'], 'backend-2');
    await first.close();
    // The port is free again, at the same back end.
    await waitFor(
      'the port to be free',
      5000,
      async () => (await ask(9100, {}, { localPort })).status === 200,
    );
  });

  labTest('the longest head is as long as the limits say', theLab, async () => {
    assert.equal((await ask(80, { headers: { X: 'a'.repeat(5000) } })).status, 431);
    assert.equal((await ask(80, { headers: { X: 'a'.repeat(3000) } })).status, 200);
  });

  withRules('a reload with a wrong file: all problems, exit 1, nothing changes', async () => {
    write('listeners: [{ name: web, port: 99999, pool: wbe }]\npools: { web: { backends: [backend-9] } }\n');
    const { code, stdout, stderr } = await resplice(['reload']);
    assert.deepEqual([code, stdout], [1, '']);
    for (const problem of [/port/, /no pool wbe/, /backend-9/]) assert.match(stderr, problem);
    assert.equal((await resplice(['reload', join(directory, 'none.yaml')])).code, 64);
    assert.equal(await servedBy(9100), 'backend-2');
    assert.equal((await lab.status()).listeners.length, 3);
  });

  withRules('reload: pools, allow-lists, limits and listeners change, connections stay', async () => {
    const client = await lab.client();
    const open = await client.connect({ host: lab.vip.address, port: 9100, bufferBytes: 131_072 });
    const download = open.request({ path: '/100mb.bin', patternFrom: 0, bytesPerSecond: 30e6 });
    await download.received(HUNDRED_MB / 10);
    // A handshake is a connection too: its first byte comes later.
    const idle = await client.connect({ host: lab.vip.address, port: 9100 });

    const { notes, later } = await reload(`
listeners:
  - { name: web, port: 80, pool: one }
  - { name: inner, port: 9200, pool: one, allow: [${OTHER_CLIENT}] }
  - { name: new, port: 9300, pool: all }
pools: { one: { backends: [backend-1] }, all: { backends: all } }
limits: { headBytes: 8192, connections: 1024 }
`);
    assert.deepEqual([later, notes.length], [[], 1]);
    assert.match(notes[0]!, /connections: 1024 takes effect at the next up/);
    // The kernel half of each proxy, whichever the connections take.
    for (let i = 0; i < 6; i++) {
      assert.equal(await servedBy(80), 'backend-1');
      assert.equal((await ask(9300)).status, 200);
      assert.equal((await ask(9200)).status, 403);
      assert.equal((await ask(9200, {}, { localAddress: OTHER_CLIENT })).status, 200);
      assert.equal((await ask(80, { headers: { X: 'a'.repeat(5000) } })).status, 200);
    }
    assert.ok(['deadline', 'refused'].includes(await refusal(9100)));
    assert.equal((await idle.request({ path: '/' }).done).headers['x-backend'], 'backend-2');
    const { received, sha256 } = await download.done;
    assert.deepEqual([received, sha256], [HUNDRED_MB, HUNDRED_MB_SHA256]);
    // Kept alive on a listener that is gone.
    assert.equal((await open.request({ path: '/' }).done).headers['x-backend'], 'backend-2');
    await Promise.all([open.close(), idle.close()]);
    await reload(RULES);
    assert.equal(await servedBy(9100), 'backend-2', 'and back again');
  });

  withRules(
    'ten reloads under downloads and a storm of requests, and a daemon killed among them: nobody notices',
    async t => {
      const client = await lab.client();
      const page = createHash('sha256')
        .update(
          siteFiles()
            .find(({ path }) => path === '/')!
            .content(),
        )
        .digest('hex');
      let over = false;
      let requests = 0;
      const storm = Promise.all(
        Array.from({ length: 4 }, async (_, i) => {
          while (!over) {
            const { status, sha256 } = await ask(i % 2 ? 80 : 9200, {
              headers: { Cookie: `session=${requests++}` },
            });
            assert.deepEqual([status, sha256], [200, page]);
          }
        }),
      );
      storm.catch(() => {
        over = true;
      });
      // One connection each, from the first reload to the last; the listener of the third is gone from the first on.
      // From ports that the storm does not use: where a pool has one member, that would be 503.
      const downloads = [80, 80, 9100, 9200].map(async (port, i) => {
        const own = { localPort: 20_101 + i, bufferBytes: 131_072 };
        const connection = await client.connect({ host: lab.vip.address, port, ...own });
        const stalls: number[] = [];
        while (!over) {
          const transfer = connection.request({ path: '/100mb.bin', patternFrom: 0, bytesPerSecond: 20e6 });
          const { received, sha256, longestStallMs } = await transfer.done;
          assert.deepEqual([received, sha256], [HUNDRED_MB, HUNDRED_MB_SHA256]);
          stalls.push(longestStallMs);
        }
        await connection.close();
        return stalls;
      });
      const slowest = Promise.all(downloads);
      slowest.catch(() => {
        over = true;
      });
      for (let i = 0; i < 10; i++) {
        const members = ['all', '[backend-1]', '[backend-2]'][i % 3];
        if (i === 5) await lab.fault('crash', 'proxy-1/proxy');
        const report = await reload(`
listeners:
  - { name: web, port: 80, pool: web${i % 2 ? ', allow: [10.61.0.0/24]' : ''} }
  - { name: inner, port: 9200, pool: web${i % 4 ? ', allow: [10.61.0.2]' : ''} }
  - { name: more, port: ${9400 + i}, pool: web }
pools: { web: { backends: ${members}${i % 2 ? ', affinity: { cookie: session }' : ''} } }
limits: { connectTimeout: ${300 + i}ms }
`);
        assert.deepEqual(report.later, i === 5 || i === 6 ? ['proxy-1/proxy'] : [], `reload ${i}`);
        assert.equal((await ask(9400 + i)).status, 200);
        if (i > 0) assert.ok(['deadline', 'refused'].includes(await refusal(9400 + i - 1)));
        if (i === 6) {
          await lab.heal();
          // It follows the newest file, which it never was told of.
          const { metrics } = await lab.component('proxy-1');
          assert.equal(metrics['config_reloads_total.taken'], 0, 'inconclusive: it was not started anew');
        }
      }
      over = true;
      await storm;
      const stalls = (await slowest).flat();
      t.diagnostic(
        `${requests} requests, ${stalls.length} downloads, longest stall ${Math.max(...stalls).toFixed(0)} ms`,
      );
      assert.ok(requests > 100, 'inconclusive: hardly any request');
      const refused = await total('config_reloads_total.refused', 'proxy');
      assert.equal(refused, 0);
    },
  );
});
