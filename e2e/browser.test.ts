/** Chromium at the demonstration site, and a download on the page that outlives its proxy. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HUNDRED_MB, HUNDRED_MB_SHA256 } from '@resplice/demo';
import { NetnsEngine } from '@resplice/engines';
import type { Browser, Page } from 'playwright';
import { launchChromium } from './fixtures/browser.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { eventsOf, shown } from './fixtures/logger.ts';
import { socketsTo } from './fixtures/sockets.ts';
import { waitFor } from './fixtures/wait.ts';

const script = fileURLToPath(new URL('./fixtures/page-download.js', import.meta.url));
const shots = fileURLToPath(new URL('../results/', import.meta.url));

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
const theLab = (): Lab => lab;

/** A page, and everything that went wrong on it: errors of its own, of its requests, and bad statuses. */
async function openSite(): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  const complaints: string[] = [];
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('requestfailed', request => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('response', response => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  await page.goto(lab.vip.url, { waitUntil: 'load' });
  return { page, complaints };
}

/** The client's end of the connection that carries the download: a browser holds several, most of them idle. */
async function carrier(): Promise<string> {
  const sockets = await socketsTo(lab.clientNamespace, `${lab.vip.address}:${lab.vip.port}`);
  const busiest = sockets.sort((a, b) => b.bytesReceived - a.bytesReceived)[0];
  const carries = busiest !== undefined && busiest.bytesReceived > HUNDRED_MB / 10;
  assert.ok(carries, 'inconclusive: no connection carries the download');
  return busiest.local;
}

labTest('the page comes with all its pictures', theLab, async () => {
  const { page, complaints } = await openSite();
  const widths = await page.evaluate<number[]>(
    '[...document.querySelectorAll(".gallery img")].map(image => image.naturalWidth)',
  );
  assert.deepEqual(widths, Array(12).fill(480));
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}demo.png`, fullPage: true });
  assert.deepEqual(complaints, []);
  await page.close();
});

labTest('100 MB by fetch survive the crash of the serving proxy', theLab, async t => {
  const { page, complaints } = await openSite();
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
  assert.deepEqual(complaints, []);
  assert.equal(await carrier(), local, 'the same TCP connection has carried it all');
  assert.notEqual((await lab.connection(local)).proxy, proxy, `inconclusive: packets still pass ${proxy}`);
  t.diagnostic(`stall ${stall.toFixed(0)} ms, fault at ${received} bytes`);
  await page.close();
});

labTest('the page comes whole through the crash of a back end in its middle', theLab, async t => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('requestfailed', request => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('response', response => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  let navigations = 0;
  page.on('framenavigated', () => navigations++);
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
  assert.deepEqual([complaints, navigations], [[], 1], 'nothing failed, and nobody loaded it again');
  const { moved } = await eventsOf('moved');
  assert.ok(moved! > 0, 'inconclusive: no connection has moved');
  t.diagnostic(`${some} pictures before the fault, ${then} after it; ${moved} connections moved`);
  await page.close();
});

labTest("the page's own button verifies the download while the proxy crashes", theLab, async () => {
  const { page, complaints } = await openSite();
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
  await page.close();
});
