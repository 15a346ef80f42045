/** PostgreSQL is restarted, crashed or away: a clear page, nothing lost, nothing done twice. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '@resplice/service-kit/testing';
import { fieldsOf, find, Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

suite('with a database that goes away', () => {
  let stand: Stand;
  let ada: Person;
  let ben: Person;
  before(async () => {
    stand = await Stand.start({
      patienceMs: 5000,

      webmail: { patience: { leaseMs: 2000, pausesMs: [50, 100] } },
    });
    [ada, ben] = await Promise.all([Person.loggedIn(stand.url, 'ada'), Person.loggedIn(stand.url, 'ben')]);
  });
  after(async () => await stand?.close());

  for (const mode of ['fast', 'kill'] as const) {
    test(`restarted (${mode}) while people send and read: every letter arrives once, no page fails`, async () => {
      const letters = Array.from({ length: 8 }, (_, i) => `${mode} ${String(i).padStart(2, '0')}`);
      const statuses: number[] = [];
      let restarted = false;
      const reading = (async () => {
        while (!restarted) {
          statuses.push((await ben.get('/mail/inbox')).status);
          // As fast as a person reloads; the rest of the machine is for the others.
          await pause(50);
        }
      })();
      const sending = (async () => {
        for (const subject of letters) {
          const { status, text } = await ada.send({ recipients: 'ben@resplice.example', subject, body: 'x' });
          assert.equal(status, 200, text);
        }
      })();
      await until(
        'a few to have been sent',
        async () => (await ben.list('inbox', `?q=${mode}`)).length > 2,
        20_000,
      );
      const arrivedBefore = (await ben.list('inbox', `?q=${mode}`)).length;
      await stand.db.cluster.restart(mode);
      assert.ok(arrivedBefore < letters.length, 'inconclusive: all were sent before the restart');
      await sending;
      restarted = true;
      await reading;
      assert.deepEqual([...new Set(statuses)], [200]);
      await until(
        'all to be confirmed',
        async () => !(await ada.get('/mail/sent')).text.includes('Sending…'),
      );
      for (const subject of letters) {
        for (const [person, folder] of [
          [ben, 'inbox'],
          [ada, 'sent'],
        ] as const) {
          const ids = await person.list(folder, `?q=${encodeURIComponent(subject)}`);
          assert.equal(ids.length, 1, `${subject} in ${folder}`);
        }
      }
      assert.match((await ada.get('/mail/drafts')).text, /No drafts/);
    });
  }

  test('that stays away: pages say so, and what was typed comes back to be sent later', async () => {
    const form = await ada.open();
    await stand.db.cluster.stop();
    const [page, answer, login] = await Promise.all([
      ben.get('/mail/inbox'),
      ada.press(form, 'send', {
        recipients: 'ben@resplice.example',
        subject: 'patience',
        body: 'typed for hours',
      }),
      new Person(stand.url).login('chloe'),
    ]);
    for (const { status, text, headers } of [page, answer, login]) {
      assert.equal(status, 503);
      assert.match(text, /cannot be reached just now/);
      assert.equal(headers.get('retry-after'), '5');
    }
    assert.equal(fieldsOf(answer.text).body, 'typed for hours');
    await stand.db.cluster.start();
    const action = find(answer.text, /action="(\/draft\/[^"]+)"/);
    const again = await ada.press({ action, fields: fieldsOf(answer.text) }, 'send');
    assert.match(again.text, /has been sent/);
    assert.equal((await ben.list('inbox', '?q=patience')).length, 1);
  });
});
