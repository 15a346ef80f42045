/** The webmail in the lab: a browser through the VIP, and what becomes of its pages when machines fail. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, suite } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KitStatus } from '@resplice/engines';
import { DEMO_PASSWORD } from '@resplice/mailstore';
import type { Browser, Page } from 'playwright';
import { launchChromium } from './fixtures/browser.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { draft, logIn } from './fixtures/mail-user.ts';
import { assertNothingLeft } from './fixtures/remains.ts';
import { waitFor } from './fixtures/wait.ts';

const shots = fileURLToPath(new URL('../results/', import.meta.url));
const KNOWN = `ada@resplice.example`;

/** A page of a new browser session, and everything that went wrong on it. */
async function openPage(browser: Browser): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('requestfailed', request => {
    const text = request.failure()?.errorText;
    // Whoever goes on to another page lets go of what the last one still wanted.
    if (text !== 'net::ERR_ABORTED') complaints.push(`${request.url()}: ${text}`);
  });
  page.on('response', response => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  return { page, complaints };
}

suite('behind the tier', () => {
  let lab: Lab;
  let browser: Browser;
  before(async () => {
    lab = await Lab.up({ site: 'webmail' });
    const { origin } = new URL(lab.vip.url);
    browser = await launchChromium({ namespace: lab.clientNamespace, trusted: origin });
  });
  after(async () => {
    await browser?.close();
    await lab?.down();
    assertNothingLeft();
  });
  const theLab = (): Lab => lab;

  labTest('status shows what the webmail needs behind it', theLab, async () => {
    const { components } = await lab.status();
    const found = Object.fromEntries(
      components.map(({ name, role, processes }) => [name, `${role}: ${Object.keys(processes).join(' ')}`]),
    );
    assert.equal(found['backend-1'], 'backend: agent webmail');
    assert.equal(found['smtp-1'], 'smtp: smtp');
    assert.equal(found['db-1'], 'db: postgres');
    assert.equal(found['auxlogger-1'], 'auxlogger: auxlogger');
    for (const { name, state } of components) assert.equal(state, 'up', name);
    const { webmail } = JSON.parse((await resplice(['status', '--json'])).stdout);
    assert.deepEqual(
      webmail.kits.map(({ backend, alternate, degraded }: KitStatus) => [backend, alternate, degraded]),
      [
        ['backend-1', 'backend-2', false],
        ['backend-2', 'backend-1', false],
      ],
    );
    assert.deepEqual(
      webmail.auxiliaries[0].services.map(({ name }: { name: string }) => name),
      ['smtp'],
    );
    assert.match((await resplice(['status'])).stdout, /^backend-1 +backend-2 +0\/0 +0 +0$/m);
    const { metrics } = await lab.component('db-1');
    assert.ok(metrics.sessions! >= 2, 'both back ends are connected');
  });

  labTest('a message is written, sent, received and read in browsers', theLab, async () => {
    const ada = await openPage(browser);
    await logIn(ada.page, lab.vip.url, KNOWN);
    await draft(ada.page, 'ben@resplice.example', 'Through the tier', 'Not one dropped byte.');
    await ada.page.click('button[value=send]');
    await ada.page.waitForURL('**/mail/**');
    await ada.page.goto(`${lab.vip.url}mail/sent`);
    assert.match((await ada.page.textContent('#main'))!, /Through the tier/);

    const ben = await openPage(browser);
    await logIn(ben.page, lab.vip.url, 'ben@resplice.example');
    await ben.page.getByRole('link', { name: 'Through the tier' }).click();
    await ben.page.waitForURL('**/message/**');
    assert.match((await ben.page.textContent('#main'))!, /Not one dropped byte\./);
    const { webmail } = JSON.parse((await resplice(['status', '--json'])).stdout);
    for (const { backend, sessions } of webmail.kits as KitStatus[]) {
      assert.equal(sessions.live, 2, `${backend} knows both sessions`);
    }
    mkdirSync(shots, { recursive: true });
    await ben.page.screenshot({ path: `${shots}webmail.png` });

    await ada.page.click('form[action="/logout"] button');
    await ada.page.waitForURL('**/login**');
    await ada.page.goto(`${lab.vip.url}mail/inbox`);
    assert.match(ada.page.url(), /\/login/, 'the session has ended on every back end');
    assert.deepEqual([...ada.complaints, ...ben.complaints], []);
    await ada.page.context().close();
    await ben.page.context().close();
  });

  labTest(
    'pages are complete, and the session lives, when a back end crashes meanwhile',
    theLab,
    async () => {
      const { page, complaints } = await openPage(browser);
      await logIn(page, lab.vip.url, KNOWN);
      for (const backend of ['backend-1', 'backend-2']) {
        const crash = lab.fault('crash', backend);
        for (const path of ['mail/inbox', 'mail/sent', 'settings', 'mail/drafts']) {
          await page.goto(`${lab.vip.url}${path}`, { waitUntil: 'load' });
          assert.equal(page.url(), `${lab.vip.url}${path}`);
          const whole = await page.evaluate('document.documentElement.outerHTML.endsWith("</body></html>")');
          assert.equal(whole, true, path);
        }
        await crash;
        await page.reload({ waitUntil: 'load' });
        await lab.heal();
      }
      assert.deepEqual(complaints, []);
      await page.context().close();
    },
  );

  labTest('an account that was added can log in', theLab, async () => {
    const add = (name: string, input: string, ...more: string[]) =>
      resplice(['user', 'add', name, ...more], { input });
    const made = await add('dora', 'correct horse battery\n', '--name', 'Dora Quint');
    assert.equal(made.code, 0, made.stderr);
    assert.equal(made.stdout, '');
    const { page } = await openPage(browser);
    await logIn(page, lab.vip.url, 'dora@resplice.example', 'correct horse battery');
    assert.match((await page.textContent('.who-name'))!, /Dora Quint/);
    await page.context().close();
    for (const [name, input, says] of [
      ['dora', 'correct horse battery\n', /dora@resplice\.example exists already/],
      ['emil', 'short\n', /8 to 256 characters/],
      ['emil', '', /8 to 256 characters/],
      ['em il', 'long enough\n', /no name for a mailbox/],
      ['emil@elsewhere.example', 'long enough\n', /no name for a mailbox/],
    ] as const) {
      const { code, stderr } = await add(name, input);
      assert.equal(code, 64, `${name}: ${stderr}`);
      assert.match(stderr, says);
    }
  });

  labTest('without its database it says so, and goes on as soon as that is back', theLab, async () => {
    const { page } = await openPage(browser);
    await logIn(page, lab.vip.url, KNOWN);
    await lab.fault('crash', 'db-1');
    assert.equal((await lab.component('db-1')).state, 'down');
    const answer = await page.goto(`${lab.vip.url}mail/inbox`);
    assert.equal(answer?.status(), 503);
    await lab.heal();
    // Nobody has to log in again, and what was there is there.
    await page.goto(`${lab.vip.url}mail/sent`);
    assert.match(page.url(), /\/mail\/sent$/);
    assert.match((await page.textContent('#main'))!, /Through the tier/);
    await page.context().close();
  });

  labTest(
    'the database comes back after a kill of its process, and with all else after a cut',
    theLab,
    async () => {
      const before = (await lab.component('db-1')).processes.postgres;
      await lab.fault('crash', 'db-1/postgres');
      await lab.heal();
      const again = await lab.component('db-1');
      assert.equal(again.state, 'up');
      assert.notEqual(again.processes.postgres, before);
      await lab.fault('crash', 'smtp-1/smtp');
      assert.equal((await lab.component('smtp-1')).state, 'down');
      await lab.fault('cut', 'auxlogger-1');
      await lab.heal();
      assert.equal((await lab.component('smtp-1')).state, 'up');
      const { page } = await openPage(browser);
      await logIn(page, lab.vip.url, KNOWN);
      await page.context().close();
    },
  );

  labTest('a message waits while the SMTP server is away, and then it is there once', theLab, async () => {
    const { page } = await openPage(browser);
    await logIn(page, lab.vip.url, KNOWN);
    await draft(page, 'chloe@resplice.example', 'In its own time', 'Later.');
    await lab.fault('freeze', 'smtp-1');
    const sent = page.click('button[value=send]', { timeout: 60_000 });
    await waitFor('the message to be on its way', 10_000, async () => {
      const { stdout } = await resplice(['status', '--json']);
      return JSON.parse(stdout).components.find(({ name }: { name: string }) => name === 'smtp-1').faults
        .length;
    });
    await lab.heal();
    await sent;
    await page.waitForURL('**/mail/**', { timeout: 60_000 });
    const chloe = await openPage(browser);
    await logIn(chloe.page, lab.vip.url, 'chloe@resplice.example');
    await waitFor('the message to arrive', 30_000, async () => {
      await chloe.page.goto(`${lab.vip.url}mail/inbox`);
      return (await chloe.page.getByText('In its own time').count()) > 0;
    });
    assert.equal(await chloe.page.getByRole('link', { name: 'In its own time' }).count(), 1);
    await page.context().close();
    await chloe.page.context().close();
  });
});

for (const arm of ['forward', 'haproxy', 'nginx'] as const) {
  suite(`in the arm ${arm}`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.up({ site: 'webmail', arm });
    });
    after(() => lab?.down());

    labTest(
      'somebody logs in, and is known to all back ends',
      () => lab,
      async () => {
        const jar = `/run/resplice/jar`;
        const curl = (...args: string[]) =>
          lab.exec('client-1', ['curl', '-sS', '-b', jar, '-c', jar, '-w', '\n%{http_code}', ...args]);
        const form = new URLSearchParams({ address: KNOWN, password: DEMO_PASSWORD }).toString();
        const { stdout } = await curl('-d', form, `${lab.vip.url}login`);
        assert.match(stdout, /303$/);
        for (let i = 0; i < 4; i++) {
          const page = await curl(`${lab.vip.url}mail/inbox`);
          assert.match(page.stdout, /<\/html>\s*200$/);
        }
        const { components } = await lab.status();
        assert.ok(
          components.every(({ role }) => role !== 'auxlogger' && role !== 'logger'),
          'nothing of ours',
        );
      },
    );
  });
}
