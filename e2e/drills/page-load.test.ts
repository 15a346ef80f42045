/** A page in Chromium, loaded through the death of the back end that was about to answer. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { BrowserView } from '../fixtures/browser-view.ts';
import { SlowPages } from '../fixtures/slow-pages.ts';
import { socketsTo } from '../fixtures/sockets.ts';

const TIMEOUT = { timeout: 180_000 };

let site: SlowPages;
before(async () => {
  site = await SlowPages.up();
});
after(() => site?.down());
afterEach(() => site.lab.heal());

for (const fault of ['backend-crash', 'backend-cut'] as const) {
  test(`a page comes whole, at once, on the connection it was asked for on: ${fault}`, TIMEOUT, async () => {
    const view = await BrowserView.open(site.browser);
    const { lab } = site;
    const open = async (): Promise<string[]> =>
      (await socketsTo(lab.clientNamespace, `${new URL(lab.origin).hostname}:80`)).map(({ local }) => local);
    const before = await open();
    let during: string[] = [];
    await site.strikeDuring(view, fault, async () => {
      const shown = view.page.goto(`${lab.origin}/login`);
      await view.page.waitForEvent('request');
      during = (await open()).filter(local => !before.includes(local));
      await shown;
    });
    assert.deepEqual(view.complaints, []);
    assert.deepEqual(view.navigations, ['/login']);
    const [document, ...objects] = view.resources;
    assert.deepEqual([document!.path, document!.isPage], ['/login', true]);
    assert.ok(objects.length >= 5, `${objects.length} objects`);
    assert.ok(
      objects.some(({ connection }) => connection === document!.connection),
      'the connection that met the fault carries more',
    );
    assert.ok(document!.connection > 0);
    const still = await open();
    assert.deepEqual(
      during.filter(local => !still.includes(local)),
      [],
      'no connection of before the fault has gone',
    );
    const whole = await view.page.evaluate('document.documentElement.outerHTML.endsWith("</body></html>")');
    assert.equal(whole, true);
    await view.close();
  });
}
