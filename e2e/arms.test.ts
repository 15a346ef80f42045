/** What the tier is compared with: the same lab with plain routing, HAProxy or nginx in the middle. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { HUNDRED_MB, HUNDRED_MB_SHA256, siteFiles } from '@resplice/demo';
import { curlDownload } from './fixtures/curl.ts';
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
