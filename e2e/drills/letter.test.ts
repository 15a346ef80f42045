/** A letter is sent in Chromium while the machine that has it dies: nobody notices, and it is there once. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { BrowserView } from '../fixtures/browser-view.ts';
import { draft, logIn } from '../fixtures/mail-user.ts';
import { SlowPages } from '../fixtures/slow-pages.ts';

const TIMEOUT = { timeout: 240_000 };

let site: SlowPages;
before(async () => {
  site = await SlowPages.up();
});
after(() => site?.down());
afterEach(() => site.lab.heal());

for (const fault of ['backend-crash', 'backend-cut'] as const) {
  test(`a letter that has been submitted is sent exactly once: ${fault}`, TIMEOUT, async () => {
    const { lab } = site;
    const view = await BrowserView.open(site.browser);
    const { page } = view;
    await logIn(page, lab.origin, 'ada@resplice.example');
    const subject = `Through a ${fault} of ${process.pid}`;
    await draft(page, 'ben@resplice.example', subject, 'Once.');
    // What is typed is saved by itself: that request is not the one to be met.
    await page.getByText('Saved', { exact: true }).waitFor();
    view.forget();
    await site.strikeDuring(view, fault, async () => {
      await page.click('button[value=send]', { noWaitAfter: true });
      await page.waitForURL('**/mail/sent**', { timeout: 0 });
    });
    assert.deepEqual(view.complaints, []);
    assert.deepEqual(view.navigations, ['/mail/sent'], 'no error page, no login, no reload');
    assert.match((await page.textContent('#main'))!, new RegExp(subject));
    await site.hurry(view);
    await lab.heal();
    // Also when whoever was cut off is heard again.
    assert.equal(await lab.letters(subject), 1);
    await view.close();
  });
}
