/** Who gets in, what a session is worth, and what another site can do. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

let stand: Stand;
before(async () => {
  stand = await Stand.start();
});
after(async () => await stand?.close());

suite('logging in', () => {
  test('wrong passwords and unknown addresses get the same answer', async () => {
    const somebody = new Person(stand.url);
    const answers = [];
    for (const [name, password] of [
      ['ada', 'wrong'],
      ['nobody', 'wrong'],
      ['ada', 'x'.repeat(10_000)],
      ["ada'; drop table accounts --", ''],
      ['a\0b', 'x'],
    ] as const) {
      const { status, text } = await somebody.login(name, password);
      answers.push(status);
      assert.match(text, /Address or password is wrong\./);
      assert.deepEqual([...somebody.cookies.keys()], []);
    }
    assert.deepEqual(answers, [401, 401, 401, 401, 401]);
  });

  test('guessing ends after a few attempts, for this source and account only', async () => {
    const guesser = new Person(stand.url);
    const statuses = [];
    for (let i = 0; i < 9; i++) statuses.push((await guesser.login('chloe', `guess ${i}`)).status);
    assert.deepEqual(statuses, [...Array(8).fill(401), 429]);
    const { status, headers } = await guesser.login('chloe');
    assert.deepEqual([status, headers.get('retry-after')], [429, '900'], 'the right one now neither');
    assert.match((await guesser.login('ben')).url, /\/mail\/inbox$/);
  });

  test('begins a session under a new id, in a cookie that no script and no other site gets', async () => {
    const ada = new Person(stand.url);
    // Somebody planted a session of his own in this browser.
    const planted = await Person.loggedIn(stand.url, 'ben');
    for (const [name, value] of planted.cookies) ada.cookies.set(name, value);
    const before = ada.cookies.get('session');
    const { url, headers } = await ada.request(
      '/login',
      {
        method: 'POST',
        body: new URLSearchParams({ address: 'ada@resplice.example', password: 'never a dropped byte' }),
      },
      0,
    );
    assert.match(url, /\/login$/);
    assert.notEqual(ada.cookies.get('session'), before);
    assert.match(headers.getSetCookie()[0]!, /Path=\/; HttpOnly; SameSite=Lax$|HttpOnly.*SameSite=Lax/);
    assert.match((await ada.get('/settings')).text, /ada@resplice\.example/);
    assert.match((await planted.get('/settings')).url, /\/login/, 'the planted session has ended');
  });

  test('leads only to pages of ours', async () => {
    for (const next of ['//evil.example', 'https://evil.example/', '/login', '/mail\r\nx: y', '/mailbox']) {
      const ada = new Person(stand.url);
      const body = { address: 'ada@resplice.example', password: 'never a dropped byte', next };
      assert.match((await ada.post('/login', body)).url, /\/mail\/inbox$/);
    }
    const ada = new Person(stand.url);
    assert.match((await ada.get('/mail/sent?page=2')).url, /\/login\?next=%2Fmail%2Fsent%3Fpage%3D2$/);
  });
});

suite('a session', () => {
  test('that is forged, cut or somebody else’s leads to the login', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    const real = ada.cookies.get('session')!;
    for (const value of [
      `${real}x`,
      real.split('.')[0]!,
      `${'a'.repeat(32)}.${real.split('.')[1]}`,
      '%',
      '',
    ]) {
      ada.cookies.set('session', value);
      assert.match((await ada.get('/mail/inbox')).url, /\/login/, value);
    }
  });

  test('ends with the logout: its cookie is worth nothing afterwards', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    const cookie = ada.cookies.get('session')!;
    const { url, text } = await ada.post('/logout', { csrf: await ada.token() });
    assert.match(url, /\/login/);
    assert.match(text, /You are logged out/);
    ada.cookies.set('session', cookie);
    assert.match((await ada.get('/mail/inbox')).url, /\/login/);
  });

  test('ends elsewhere when the password is changed', async () => {
    const [here, there] = [await Person.loggedIn(stand.url, 'ben'), await Person.loggedIn(stand.url, 'ben')];
    const csrf = await here.token();
    const change = (current: string, wanted: string, again = wanted) =>
      here.post('/settings/password', { csrf, current, wanted, again });
    assert.match((await change('wrong', 'a new password')).text, /is another one/);
    assert.match((await change('never a dropped byte', 'short')).text, /at least 8/);
    assert.match((await change('never a dropped byte', 'one password', 'another one')).text, /differ/);
    assert.match((await change('never a dropped byte', 'a new password')).text, /has been changed/);
    assert.match((await here.get('/mail/inbox')).url, /\/mail\/inbox$/);
    assert.match((await there.get('/mail/inbox')).url, /\/login/);
    const back = await here.post('/settings/password', {
      csrf: await here.token(),
      current: 'a new password',
      wanted: 'never a dropped byte',
      again: 'never a dropped byte',
    });
    assert.match(back.text, /has been changed/);
  });
});

suite('another site', () => {
  const elsewhere: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];

  test('can post nothing in our users’ names, and log nobody in', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    const csrf = await ada.token();
    for (const headers of elsewhere) {
      for (const path of ['/login', '/logout', '/settings', '/mail/inbox/act', '/mail/trash/empty']) {
        const { status } = await ada.request(path, {
          method: 'POST',
          headers,
          body: new URLSearchParams({ csrf }),
        });
        assert.equal(status, 403, path);
      }
    }
    assert.match((await ada.get('/mail/inbox')).url, /\/mail\/inbox$/);
  });

  test('needs the token besides', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    for (const csrf of ['', 'x', 'a'.repeat(24)]) {
      assert.equal((await ada.post('/logout', { csrf })).status, 403);
      assert.equal(
        (await ada.post('/settings', { csrf, name: 'X', signature: '', pageSize: '50' })).status,
        403,
      );
    }
  });

  test('finds no page that it could put in a frame, and every answer says what it is', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    for (const path of ['/login', '/mail/inbox', '/compose', '/settings', '/nowhere', '/assets/style.css']) {
      const { headers } = await ada.get(path);
      const policy = headers.get('content-security-policy')!;
      assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/, path);
      assert.doesNotMatch(policy, /unsafe|\*|http:/, path);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('x-frame-options'), 'DENY');
      assert.equal(headers.get('referrer-policy'), 'same-origin');
      if (!path.startsWith('/assets')) assert.equal(headers.get('cache-control'), 'no-store', path);
    }
  });

  test('no page has an inline script, style or handler', async () => {
    const ada = await Person.loggedIn(stand.url, 'ada');
    for (const path of ['/mail/inbox', '/mail/drafts', '/compose', '/settings']) {
      const { text } = await ada.get(path);
      assert.doesNotMatch(text, /<script(?![^>]* src=)|<style| style=| on[a-z]+=/, path);
    }
  });
});
