/** Chromium: what JavaScript makes better, and whether every page can be read, reached and held in one hand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { DEMO_PASSWORD } from '@resplice/mailstore';
import { until } from '@resplice/service-kit/testing';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

const audit = readFileSync(join(import.meta.dirname, 'fixtures/page-audit.js'), 'utf8');

let stand: Stand;
let browser: Browser;
let ben: Person;
before(async () => {
  stand = await Stand.start();
  ben = await Person.loggedIn(stand.url, 'ben');
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    chromiumSandbox: false,
    args: [
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--disable-dev-shm-usage',
    ],
  });
});
after(async () => {
  await browser?.close();
  await stand?.close();
});

/** A page of somebody's browser, and all that it complained about. */
async function openBrowser(
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('request', request => {
    if (!request.url().startsWith(stand.url)) complaints.push(`fetched ${request.url()}`);
  });
  page.on('response', response => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  return { page, complaints };
}

async function logIn(page: Page): Promise<void> {
  await page.goto(stand.url);
  await page.fill('#address', 'ada@resplice.example');
  await page.fill('#password', DEMO_PASSWORD);
  await page.click('button.main');
  await page.waitForURL('**/mail/inbox');
}

test('the login page is a real one: style, scripts’ absence, icons, fonts, picture', async () => {
  const { page, complaints } = await openBrowser();
  const kinds = new Map<string, number>();
  page.on('response', response => {
    const type = response.headers()['content-type'] ?? '';
    kinds.set(type, (kinds.get(type) ?? 0) + 1);
  });
  await page.goto(stand.url, { waitUntil: 'networkidle' });
  assert.equal(
    await page.evaluate('document.fonts.check("16px Inter") && document.fonts.check("16px Fraunces")'),
    true,
  );
  assert.equal(kinds.get('font/woff2'), 2);
  assert.ok((kinds.get('image/svg+xml') ?? 0) >= 2);
  assert.equal(kinds.get('text/css; charset=utf-8'), 2);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

suite('writing', () => {
  test('saves by itself, attaches at once, and sends with Ctrl+Enter', async () => {
    const { page, complaints } = await openBrowser();
    await logIn(page);
    await page.click('.compose-button');
    await page.fill('#recipients', 'ben@resplice.example');
    await page.fill('#subject', 'By itself');
    await page.fill('#body', 'typed, never saved by hand');
    const saved = page.locator('#state', { hasText: /^Saved$/ });
    await saved.waitFor();
    const drafts = await page.request.get(`${stand.url}/mail/drafts`);
    assert.match(await drafts.text(), /By itself/);
    await page.setInputFiles('input[type="file"]', {
      name: 'a.txt',
      mimeType: 'text/plain',
      buffer: Buffer.from('abc'),
    });
    await page.locator('#attached li', { hasText: 'a.txt' }).waitFor();
    await page.reload();
    assert.equal(await page.inputValue('#body'), 'typed, never saved by hand', 'a reload loses nothing');
    assert.equal(await page.locator('#attached li').count(), 1);
    await page.focus('#body');
    await page.keyboard.press('Control+Enter');
    await page.waitForURL('**/mail/sent*');
    assert.equal((await ben.list('inbox', '?q=itself')).length, 1);
    assert.deepEqual(complaints, []);
    await page.context().close();
  });

  test('goes on while the server does not answer, and saves when it does', async () => {
    const { page } = await openBrowser();
    await logIn(page);
    await page.click('.compose-button');
    await page.route('**/autosave', route => route.abort());
    await page.fill('#subject', 'Offline');
    await page.locator('#state.bad', { hasText: 'Trying again' }).waitFor();
    await page.fill('#body', 'written in a tunnel');
    await page.unroute('**/autosave');
    await page.locator('#state', { hasText: /^Saved$/ }).waitFor();
    await page.goto(`${stand.url}/mail/drafts`);
    await page.locator('.row > a', { hasText: 'Offline' }).click();
    assert.equal(await page.inputValue('#body'), 'written in a tunnel');
    await page.context().close();
  });
});

suite('a file that cannot be attached at once', () => {
  const note = { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('abc') };

  async function beginWithFile(subject: string): Promise<Page> {
    const { page } = await openBrowser();
    await logIn(page);
    await page.click('.compose-button');
    await page.fill('#recipients', 'ben@resplice.example');
    await page.fill('#subject', subject);
    await page.locator('#state', { hasText: /^Saved$/ }).waitFor();
    await page.route('**/autosave', route => route.abort());
    await page.setInputFiles('input[type="file"]', note);
    await page.locator('#state.bad', { hasText: 'Trying again' }).waitFor();
    return page;
  }

  test('is attached when the server answers again', async () => {
    const page = await beginWithFile('Later');
    await page.unroute('**/autosave');
    await page.locator('#attached li', { hasText: 'note.txt' }).waitFor();
    await page.locator('#state', { hasText: /^Saved$/ }).waitFor();
    await page.reload();
    assert.equal(await page.locator('#attached li').count(), 1);
    await page.context().close();
  });

  test('goes with the letter when that is sent before', async () => {
    const page = await beginWithFile('With the letter');
    await page.click('button[value="send"]');
    await page.waitForURL('**/mail/sent*');
    const [letter] = await ben.list('inbox', '?q=letter');
    assert.match((await ben.get(`/message/${letter}`)).text, /note\.txt/);
    await page.context().close();
  });
});

test('a list: keys, all at once, and word of new mail', async () => {
  for (const subject of ['first', 'second']) {
    await ben.send({ recipients: 'ada@resplice.example', subject, body: 'x' });
  }
  const { page, complaints } = await openBrowser();
  await logIn(page);
  await page.locator('.row > a').first().focus();
  for (const key of ['j', 'x']) await page.keyboard.press(key);
  assert.deepEqual(
    await page.evaluate<boolean[]>('[...document.querySelectorAll(".row input")].map(box => box.checked)'),
    [false, true],
  );
  await page.check('#all');
  await page.click('button[value="read"]');
  await page.locator('.notice', { hasText: 'marked as read' }).waitFor();
  assert.doesNotMatch(page.url(), /notice/, 'a reload would not say it again');
  await ben.send({ recipients: 'ada@resplice.example', subject: 'third', body: 'x' });
  // As it does by itself after a while.
  await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))');
  await page.click('text=New mail: show it');
  await page.locator('.row', { hasText: 'third' }).waitFor();
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('an HTML message: a frame of its height, no script, nothing from elsewhere', async () => {
  const { page, complaints } = await openBrowser();
  await ben.send({ recipients: 'ada@resplice.example', subject: 'plain', body: 'x' });
  await stand.database.query(
    `update contents set raw = convert_to('Content-Type: text/html' || E'\\r\\n\\r\\n' ||
       '<h1 style="margin-top:900px">Low</h1><img src="https://x.example/p.png"><a href="https://x.example/">x</a>', 'UTF8')
     where id = (select content_id from messages where subject = 'plain' and folder = 'inbox')`,
  );
  await logIn(page);
  await page.locator('.row > a', { hasText: 'plain' }).click();
  const frame = page.locator('.letter');
  await frame.waitFor();
  const height = async (): Promise<number> => (await frame.boundingBox())!.height;
  await until('the frame to be as high as its page', async () => (await height()) > 900);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

interface Audit {
  readonly wider: number;
  readonly faintTexts: string[];
  readonly nameless: string[];
  readonly smallTargets: string[];
  readonly headings: number;
  readonly ids: string[];
}

for (const [device, width, colorScheme] of [
  ['phone', 390, 'light'],
  ['phone', 390, 'dark'],
  ['small phone', 320, 'light'],
  ['desktop', 1280, 'light'],
] as const) {
  test(`every page on a ${device}, ${colorScheme}: fits, can be read, and every control has a name`, async () => {
    const { page } = await openBrowser({ viewport: { width, height: 844 }, colorScheme });
    const faults: Record<string, Partial<Audit>> = {};
    const look = async (name: string): Promise<void> => {
      const { headings, ...found } = await page.evaluate<Audit>(audit);
      const bad = Object.entries(found).filter(([, value]) =>
        Array.isArray(value) ? value.length > 0 : value > 0,
      );
      if (headings !== 1) bad.push(['headings', headings]);
      if (bad.length > 0) faults[name] = Object.fromEntries(bad);
    };
    await page.goto(stand.url);
    await look('login');
    await page.fill('#address', 'x@x.example');
    await page.fill('#password', 'wrong');
    await page.click('button.main');
    await look('login refused');
    await logIn(page);
    await look('inbox');
    const [id] = await ben.list('inbox');
    assert.ok(id);
    for (const path of [
      '/mail/sent',
      '/mail/trash',
      '/mail/drafts',
      '/mail/inbox?q=none',
      '/compose',
      '/settings',
      '/nowhere',
    ]) {
      await page.goto(stand.url + path);
      await look(path);
    }
    await page.goto(`${stand.url}/mail/inbox`);
    await page.locator('.row > a').first().click();
    await page.locator('.message').waitFor();
    await look('message');
    assert.deepEqual(faults, {});
    await page.context().close();
  });
}
