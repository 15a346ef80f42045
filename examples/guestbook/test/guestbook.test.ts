/** The guide's application: plain without the kit, and with it more than one server. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { type BackendKit, backendKit } from '@resplice/backend-kit';
import { Tier } from '@resplice/backend-kit/testing';
import { buildGuestbook } from '../src/app.ts';

const secret = 'a secret that only this test knows of';
const form = { 'Content-Type': 'application/x-www-form-urlencoded' };

let book: string;
beforeEach(() => {
  book = mkdtempSync(join(tmpdir(), 'resplice-guestbook-'));
});
afterEach(() => rmSync(book, { recursive: true }));

const build = async (kit: BackendKit) => await buildGuestbook({ book, secret, kit });

test('without the kit it is an application like any other', async () => {
  const app = await build(backendKit(null));
  const signed = await app.inject({
    method: 'POST',
    url: '/sign',
    headers: form,
    body: 'name=Ada&words=Hello',
  });
  assert.equal(signed.statusCode, 303);
  const cookie = String(signed.headers['set-cookie']).split(';')[0]!;
  assert.match(
    (await app.inject({ url: '/', headers: { cookie } })).body,
    /^Welcome, Ada\.\n.* Ada: Hello\n$/,
  );
  assert.match((await app.inject({ method: 'POST', url: '/fortune' })).body, /to one of 1 guests/);
  await app.close();
});

suite('with it', () => {
  let tier: Tier;
  beforeEach(async () => {
    tier = await Tier.of(2, build);
  });
  afterEach(async () => await tier?.close());

  test('one signs once, and is known, though the server dies', async () => {
    const connection = tier.connection();
    const sign = ['POST', '/sign', form, 'name=Ada&words=Hello'] as const;
    const first = await (await tier.client(1, connection)).ask(...sign);
    await tier.crash(1);
    const successor = await tier.takeOver(2, connection);
    assert.equal((await successor.ask(...sign)).bytes.toString(), first.bytes.toString());
    const cookie = { Cookie: first.all('set-cookie')[0]!.split(';')[0]! };
    const page = await successor.ask('GET', '/', cookie);
    assert.match(page.text, /^Welcome, Ada\.\n\S+ Ada: Hello\n$/);
  });

  test('a fortune is told a second time as it was the first', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/fortune');
    await (await tier.client(2)).ask('POST', '/sign', form, 'name=Ben&words=Hi');
    await tier.crash(1);
    const again = await (await tier.takeOver(2, connection)).ask('POST', '/fortune');
    assert.equal(again.bytes.toString(), first.bytes.toString());
    assert.match(again.text, /to one of 0 guests/);
  });
});
