/** What the tier is compared with: the same lab with plain routing, HAProxy or nginx in the middle. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HUNDRED_MB, HUNDRED_MB_SHA256, siteFiles } from '@resplice/demo';
import { labPlace, NetnsEngine } from '@resplice/engines';
import { Witness } from '../drill/src/witness.ts';
import type { Client, Transfer } from './fixtures/client.ts';
import { curlDownload } from './fixtures/curl.ts';
import { ExchangeError, type RequestOptions } from './fixtures/exchange.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { assertNothingLeft } from './fixtures/remains.ts';
import { waitFor } from './fixtures/wait.ts';

const NEW_CONNECTIONS = 20;

/** How many of some new connections got the page. */
async function served(lab: Lab): Promise<number> {
  const page = siteFiles()
    .find(({ path }) => path === '/')!
    .content().length;
  const each = Array.from({ length: NEW_CONNECTIONS }, async () => {
    const { code, bytes } = await curlDownload(lab.clientNamespace, ['--max-time', '3', lab.vip.url]);
    return code === 0 && bytes === page;
  });
  return (await Promise.all(each)).filter(Boolean).length;
}

async function processesOf(lab: Lab, component: string): Promise<string[]> {
  return Object.keys((await lab.component(component)).processes).sort();
}

/** So long a user waits, ms. */
const PATIENCE_MS = 20_000;
const VICTIM = 'backend-1';

const REQUESTS = {
  download: { path: '/bytes/100000000', bytesPerSecond: 20e6 },
  read: { path: '/slow?ms=6000' },
  update: { method: 'POST', path: '/count?ms=6000' },
} as const satisfies Record<string, RequestOptions>;
type Kind = keyof typeof REQUESTS;

/** Begins a request that this back end serves. */
async function beginAt(client: Client, lab: Lab, witness: Witness, kind: Kind): Promise<Struck> {
  // They take turns, once a back end that has just been healed is known to be.
  return waitFor(`${VICTIM} to be given a ${kind}`, 30_000, async () => {
    const token = `${kind}-${process.pid}-${performance.now()}`;
    const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
    const transfer = connection.request({
      ...{ deadlineMs: PATIENCE_MS, headers: { 'X-Request-Token': token } },
      ...REQUESTS[kind],
    });
    const outcome = transfer.done.then(
      ({ status }) => String(status),
      (error: unknown) => (error instanceof ExchangeError ? error.failure.kind : String(error)),
    );
    if ((await witness.seen(token, 'begin', 5000)) === VICTIM) return { token, transfer, outcome };
    await connection.close().catch(() => {});
    return undefined;
  });
}

interface Struck {
  token: string;
  transfer: Transfer;
  /** A status, or how it broke. */
  outcome: Promise<string>;
}

/** What users see of a back end's death in the middle of a download, and while a GET and a POST wait. */
async function throughDeath(
  lab: Lab,
  fault: 'crash' | 'cut' | 'freeze',
): Promise<Record<Kind, string> & { executions: number }> {
  const client = await lab.client();
  const places = ['backend-1', 'backend-2'].map(name => ({
    ...{ name, namespace: `/run/netns/${labPlace.netnsPrefix}${name}`, port: 8080 },
  }));
  const witness = await Witness.start(places);
  try {
    const download = await beginAt(client, lab, witness, 'download');
    const read = await beginAt(client, lab, witness, 'read');
    const update = await beginAt(client, lab, witness, 'update');
    await download.transfer.received(1_000_000);
    const { at } = await new NetnsEngine()[fault](VICTIM);
    const outcomes = await Promise.all([download, read, update].map(each => each.outcome));
    assert.ok(at > 0, 'inconclusive: no fault was made');
    await lab.heal();
    await witness.settled();
    return {
      ...{ download: outcomes[0]!, read: outcomes[1]!, update: outcomes[2]! },
      executions: witness.executions(update.token),
    };
  } finally {
    await witness.stop();
  }
}

/** Proxies in the balancer's table. */
async function steeredTo(lab: Lab): Promise<number> {
  return (await lab.component('lb-1')).metrics.steering_live_proxies!;
}

for (const arm of ['forward', 'haproxy', 'nginx'] as const) {
  describe(`arm ${arm}`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.up({ arm });
    });
    after(() => lab?.down());
    const theLab = (): Lab => lab;

    labTest(`${arm}: status names the arm and what runs in the proxies' place`, theLab, async () => {
      const status = await lab.status();
      assert.equal(status.arm, arm);
      for (const { name, state } of status.components) assert.equal(state, 'up', name);
      assert.deepEqual(await processesOf(lab, 'proxy-1'), arm === 'forward' ? [] : [arm, 'responder']);
      assert.deepEqual(await processesOf(lab, 'backend-1'), ['demo']);
    });

    labTest(`${arm} serves the page and 100 MB with the right hash`, theLab, async () => {
      assert.equal(await served(lab), NEW_CONNECTIONS);
      const { code, bytes, sha256 } = await curlDownload(lab.clientNamespace, [`${lab.vip.url}100mb.bin`]);
      assert.deepEqual([code, bytes, sha256], [0, HUNDRED_MB, HUNDRED_MB_SHA256]);
    });

    if (arm === 'forward') {
      labTest(
        'forward: the only way is cut by a crash, and whole again when it is healed',
        theLab,
        async () => {
          await lab.fault('crash', 'proxy-1');
          assert.equal(await served(lab), 0);
          await lab.heal();
          assert.equal(await served(lab), NEW_CONNECTIONS);
        },
      );
      labTest('forward: the proxy that stands by is not on the way', theLab, async () => {
        await lab.fault('crash', 'proxy-2');
        assert.equal(await served(lab), NEW_CONNECTIONS);
      });
      return;
    }

    for (const kind of ['crash', 'cut', 'restart'] as const) {
      labTest(`${arm}: new connections survive the ${kind} of a proxy, and its return`, theLab, async () => {
        await lab.fault(kind, 'proxy-1');
        await waitFor('the balancer to notice', 2000, async () => {
          return (await steeredTo(lab)) === (kind === 'restart' ? 2 : 1);
        });
        assert.equal(await served(lab), NEW_CONNECTIONS);
        await lab.heal();
        assert.equal(await steeredTo(lab), 2);
        assert.equal(await served(lab), NEW_CONNECTIONS);
      });
    }

    for (const kind of ['crash', 'freeze'] as const) {
      labTest(`${arm}: the balancer turns away after the ${kind} of the server alone`, theLab, async () => {
        await lab.fault(kind, `proxy-2/${arm}`);
        await waitFor('the responder to notice', 3000, async () => (await steeredTo(lab)) === 1);
        assert.equal(await served(lab), NEW_CONNECTIONS);
        await lab.heal();
        assert.equal(await steeredTo(lab), 2);
      });
    }

    for (const fault of ['crash', 'cut', 'freeze'] as const) {
      labTest(
        `${arm}: the ${fault} of a back end breaks a download; what becomes of a GET, a POST and new connections`,
        theLab,
        async t => {
          const { download, read, update, executions } = await throughDeath(lab, fault);
          t.diagnostic(`download: ${download}; GET: ${read}; POST: ${update}, which ran ${executions} times`);
          // Whoever has passed on the beginning of a response has nobody to give it the rest.
          assert.match(download, /^(truncated|reset|deadline)$/);
          await lab.fault(fault, VICTIM);
          const all = async () => (await served(lab)) === NEW_CONNECTIONS;
          // Without checks of its own nginx goes on asking one that accepts connections and says nothing.
          if (arm === 'nginx' && fault === 'freeze') assert.equal(await all(), false);
          else await waitFor('new connections to be served', 20_000, all);
        },
      );
    }

    labTest(
      `${arm}: its configuration can be read in its place, and its log by the usual verb`,
      theLab,
      async () => {
        const { stdout } = await lab.exec('proxy-1', ['cat', `/run/resplice/proxy-1/${arm}.conf`]);
        assert.match(stdout, /10\.60\.0\.1:80/);
        assert.match(stdout, /10\.64\.0\.12:8080/);
        assert.equal((await resplice(['logs', `proxy-1/${arm}`])).code, 0);
      },
    );
  });

  test(`${arm}: down has left nothing behind`, assertNothingLeft);
}
