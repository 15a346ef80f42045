/** Sessions that are over, wherever they are kept: the login instead of the page, and nothing typed is lost. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { backendKit } from '@resplice/backend-kit';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { until } from '@resplice/service-kit/testing';
import type { FastifyRequest } from 'fastify';
import { readComposeForm } from '../src/web/compose-form.ts';
import { SessionTable } from '../src/web/session-table.ts';
import { fieldsOf, Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

const HOUR_MS = 3_600_000;
const SHORT_MS = 1500;
let stand: Stand;

async function ended(person: Person): Promise<boolean> {
  return /\/login/.test((await person.get('/mail/inbox')).url);
}

suite('a session that has expired', () => {
  suite('in memory', () => {
    before(async () => {
      stand = await Stand.start({
        webmail: { sessionStore: backendKit(null).sessionStore({ lifetimeMs: SHORT_MS }) },
      });
    });
    after(async () => await stand?.close());

    test('leads to the login, however busy it was, and the cookie does not begin it again', async () => {
      const ada = await Person.loggedIn(stand.url, 'ada');
      const cookie = ada.cookies.get('session')!;
      await until('its end', () => ended(ada));
      ada.cookies.set('session', cookie);
      assert.equal(await ended(ada), true);
      assert.equal((await ada.post('/settings', { csrf: 'x', name: 'Eve' })).url.includes('/login'), true);
    });
  });

  suite('in the database', () => {
    let sessions: TestDatabase;
    before(async () => {
      sessions = await testDatabase();
      const sessionStore = new SessionTable(sessions.database, HOUR_MS);
      stand = await Stand.start({ webmail: { sessionStore } });
    });
    after(async () => {
      await stand?.close();
      await sessions?.close();
    });

    test('leads to the login; a form of it comes back with its text, and its files are not kept', async () => {
      const ada = await Person.loggedIn(stand.url, 'ada');
      const form = await ada.open();
      await sessions.database.query(`update sessions set until = now() - interval '1 second'`);
      const files = [new File([Buffer.alloc(20_000_000)], 'large.bin')];
      const letter = { recipients: 'ben@resplice.example', subject: 'kept', body: 'typed for hours', files };
      const { status, text } = await ada.press(form, 'send', letter);
      assert.equal(status, 401);
      assert.match(text, /Your session has ended\. Your text is still here/);
      assert.equal(fieldsOf(text).body, 'typed for hours');
      const autosave = await ada.post(`${form.action}/autosave`, form.fields);
      assert.deepEqual([autosave.status, JSON.parse(autosave.text)], [401, { kind: 'loggedOut' }]);
      assert.equal(await ended(ada), true);
      assert.deepEqual(await stand.database.query('select from drafts'), []);
    });
  });
});

suite('a form', () => {
  const parts = [
    { type: 'field', fieldname: 'body', value: 'some text' },
    { type: 'field', fieldname: 'unknown', value: 'x' },
    { type: 'file', filename: 'a.bin', mimetype: 'text/plain', file: Readable.from([Buffer.alloc(1000)]) },
    ...Array.from({ length: 4 }, () => ({
      type: 'field',
      fieldname: 'subject',
      value: 'y'.repeat(1_000_000),
    })),
    { type: 'field', fieldname: 'cc', value: 'behind too much' },
  ];
  const read = (isKnown: boolean) => {
    const request = { isMultipart: () => true, parts: () => Readable.from(parts) };
    return readComposeForm(request as unknown as FastifyRequest, isKnown);
  };

  test('of nobody has its text, and none of its files', async () => {
    const { fields, files, dropped } = await read(false);
    assert.deepEqual([fields.body, files, dropped], ['some text', [], ['a.bin']]);
  });

  test('is held only as far as anybody types', async () => {
    const { fields } = await read(true);
    assert.deepEqual([fields.body, fields.cc], ['some text', '']);
  });
});
