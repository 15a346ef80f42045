/** Chromium at the demonstration site: its pictures, also when a back end dies, and its own download button while a proxy does. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HUNDRED_MB } from '@resplice/demo';
import { NetnsEngine } from '@resplice/engines';
import type { Browser } from 'playwright';
import { launchChromium } from './fixtures/browser.ts';
import { BrowserView } from './fixtures/browser-view.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { eventsOf, shown } from './fixtures/logger.ts';
import { busiestSocket } from './fixtures/sockets.ts';
import { waitFor } from './fixtures/wait.ts';

const shots = fileURLToPath(new URL('../results/', import.meta.url));

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
const theLab = (): Lab => lab;

async function openSite(): Promise<BrowserView> {
  const view = await BrowserView.open(browser);
  await view.page.goto(lab.vip.url, { waitUntil: 'load' });
  return view;
}

/** The client's end of the connection that carries the download. */
async function carrier(): Promise<string> {
  const busiest = await busiestSocket(lab.clientNamespace, `${lab.vip.address}:${lab.vip.port}`);
  const carries = busiest !== undefined && busiest.bytesReceived > HUNDRED_MB / 10;
  assert.ok(carries, 'inconclusive: no connection carries the download');
  return busiest.local;
}

labTest('the page comes with all its pictures', theLab, async () => {
  const view = await openSite();
  const { page, complaints } = view;
  const widths = await page.evaluate<number[]>(
    '[...document.querySelectorAll(".gallery img")].map(image => image.naturalWidth)',
  );
  assert.deepEqual(widths, Array(12).fill(480));
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}demo.png`, fullPage: true });
  assert.deepEqual(complaints, []);
  await view.close();
});

labTest('the page comes whole through the crash of a back end in its middle', theLab, async t => {
  const view = await BrowserView.open(browser);
  const { page, complaints, navigations } = view;
  // As slow as a bad mobile line, so that a page has a middle.
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  const limits = { offline: false, latency: 20, downloadThroughput: 100_000, uploadThroughput: -1 };
  await session.send('Network.emulateNetworkConditions', limits);
  const loaded = page.goto(lab.vip.url, { waitUntil: 'load' });
  const pictures = () =>
    page.evaluate<number>(
      '[...document.querySelectorAll(".gallery img")].filter(image => image.complete && image.naturalWidth > 0).length',
    );
  const some = await waitFor('some of the pictures', 30_000, pictures);
  const { backend } = await waitFor('a response under way', 5000, async () =>
    (await shown()).find(({ backend, transaction }) => backend !== null && transaction?.endsWith('response')),
  );
  await new NetnsEngine().crash(backend!);
  const then = await pictures();
  assert.ok(then < 12, 'inconclusive: the page was there before the fault');
  await loaded;
  const widths = await page.evaluate<number[]>(
    '[...document.querySelectorAll(".gallery img")].map(image => image.naturalWidth)',
  );
  assert.deepEqual(widths, Array(12).fill(480));
  assert.deepEqual([complaints, navigations], [[], ['/']], 'nothing failed, and nobody loaded it again');
  const { moved } = await eventsOf('moved');
  assert.ok(moved! > 0, 'inconclusive: no connection has moved');
  t.diagnostic(`${some} pictures before the fault, ${then} after it; ${moved} connections moved`);
  await view.close();
});

labTest("the page's own button verifies the download while the proxy crashes", theLab, async () => {
  const view = await openSite();
  const { page, complaints } = view;
  // As slow as a good domestic line, so that there is a middle.
  const session = await page.context().newCDPSession(page);
  const limits = { offline: false, latency: 0, downloadThroughput: 30e6, uploadThroughput: -1 };
  await session.send('Network.emulateNetworkConditions', limits);
  await page.click('#start');
  const progress = (): Promise<number> => page.evaluate<number>('document.getElementById("progress").value');
  await waitFor('a fifth on the progress bar', 20_000, async () => (await progress()) > 20);
  const { proxy } = await lab.connection(await carrier());
  await lab.fault('crash', proxy);
  assert.ok((await progress()) < 100, 'inconclusive: the download was over before the fault');
  const ended = '[data-state="right"], [data-state="wrong"]';
  const card = await page.waitForSelector(ended, { timeout: 60_000 });
  assert.equal(await card.getAttribute('data-state'), 'right', (await page.textContent('#verdict')) ?? '');
  assert.deepEqual(complaints, []);
  await page.screenshot({ path: `${shots}download.png` });
  await view.close();
});
