/** Somebody logs in while the back end that checks the password dies, and stays logged in whichever of them dies. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BrowserView } from '../fixtures/browser-view.ts';
import { fillLogin } from '../fixtures/mail-user.ts';
import { SlowPages } from '../fixtures/slow-pages.ts';

const TIMEOUT = { timeout: 240_000 };

let site: SlowPages;
before(async () => {
  site = await SlowPages.up();
});
after(() => site?.down());

test(
  'a login survives the crash of the back end that has it, and of each one afterwards',
  TIMEOUT,
  async () => {
    const { lab } = site;
    const view = await BrowserView.open(site.browser);
    const { page } = view;
    await page.goto(`${lab.origin}/login`);
    await fillLogin(page, 'ada@resplice.example');
    const first = await site.strikeDuring(view, 'backend-crash', async () => {
      await page.click('button.main', { noWaitAfter: true });
      await page.waitForURL('**/mail/inbox', { timeout: 0 });
    });
    assert.deepEqual(view.navigations, ['/login', '/mail/inbox'], 'logged in by one press of the button');
    await site.hurry(view);
    await lab.heal();
    // The one that has taken over fails next, and then the one that had been started anew.
    for (const [index, backend] of [first === 'backend-1' ? 'backend-2' : 'backend-1', first].entries()) {
      await lab.strike('backend-crash', backend);
      assert.equal(await lab.notFired(backend), null, 'inconclusive');
      await page.goto(`${lab.origin}/mail/sent`);
      await page.goto(`${lab.origin}/mail/inbox`);
      assert.deepEqual(view.navigations.slice(2 + 2 * index), ['/mail/sent', '/mail/inbox'], backend);
      await lab.heal();
    }
    assert.deepEqual(view.complaints, []);
    await view.close();
  },
);
