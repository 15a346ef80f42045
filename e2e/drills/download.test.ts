/** A download on a page in Chromium that outlives its proxy. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HUNDRED_MB, HUNDRED_MB_SHA256 } from '@resplice/demo';
import type { Browser } from 'playwright';
import { launchChromium } from '../fixtures/browser.ts';
import { BrowserView } from '../fixtures/browser-view.ts';
import { Lab, labTest } from '../fixtures/lab.ts';
import { busiestSocket } from '../fixtures/sockets.ts';
import { waitFor } from '../fixtures/wait.ts';

const script = fileURLToPath(new URL('../fixtures/page-download.js', import.meta.url));

/** What the script leaves in the page. */
interface Download {
  readonly received: number;
  readonly stall: number;
  readonly sha256?: string;
  readonly error?: string;
}

let lab: Lab;
let browser: Browser;
before(async () => {
  lab = await Lab.up();
  const { origin } = new URL(lab.vip.url);
  browser = await launchChromium({ namespace: lab.clientNamespace, trusted: origin });
});
after(async () => {
  await browser?.close();
  await lab?.down();
});

/** The client's end of the connection that carries the download. */
async function carrier(): Promise<string> {
  const busiest = await busiestSocket(lab.clientNamespace, `${lab.vip.address}:${lab.vip.port}`);
  const carries = busiest !== undefined && busiest.bytesReceived > HUNDRED_MB / 10;
  assert.ok(carries, 'inconclusive: no connection carries the download');
  return busiest.local;
}

labTest(
  '100 MB by fetch survive the crash of the serving proxy',
  () => lab,
  async t => {
    const view = await BrowserView.open(browser);
    const { page } = view;
    await page.goto(lab.vip.url, { waitUntil: 'load' });
    await page.addScriptTag({ path: script });
    const state = (): Promise<Download> => page.evaluate<Download>('window.download');
    const aFifth = async (): Promise<boolean> => (await state()).received > HUNDRED_MB / 5;
    await waitFor('the first fifth of the download', 20_000, aFifth);
    const local = await carrier();
    const { proxy } = await lab.connection(local);
    await lab.fault('crash', proxy);
    const { received } = await state();
    assert.ok(received < HUNDRED_MB, 'inconclusive: the download was over before the fault');
    const { error, sha256, stall } = await waitFor('the download to end', 60_000, async () => {
      const now = await state();
      return now.sha256 !== undefined || now.error !== undefined ? now : undefined;
    });
    assert.deepEqual([error, sha256], [undefined, HUNDRED_MB_SHA256]);
    assert.deepEqual([view.complaints, view.navigations], [[], ['/']]);
    assert.equal(await carrier(), local, 'the same TCP connection has carried it all');
    const asked = view.resources.filter(({ path }) => path === '/100mb.bin');
    assert.equal(asked.length, 1, 'it was asked for once');
    assert.notEqual((await lab.connection(local)).proxy, proxy, `inconclusive: packets still pass ${proxy}`);
    t.diagnostic(`stall ${stall.toFixed(0)} ms, fault at ${received} bytes`);
    await view.close();
  },
);
