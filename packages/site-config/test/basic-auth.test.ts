import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { BasicAuth, type BasicAuthOptions, basicChallenge } from '../src/basic-auth.ts';
import { BcryptThread, type Compare } from '../src/bcrypt-thread.ts';
import { CredentialCache } from '../src/credential-cache.ts';

const thread = new BcryptThread();
after(() => thread.close());

const users = new Map([
  ['ada', hashSync('correct:horse', 4).replace('$2b', '$2y')],
  ['gr\u00e4ce', hashSync('caf\u00e9', 5)],
]);

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** Counts comparisons and answers as bcrypt would. */
function counting(options: BasicAuthOptions = {}) {
  const asked: { password: string; hash: string }[] = [];
  const compare: Compare = async (password, hash) => {
    asked.push({ password, hash });
    return (
      (hash === users.get('ada') && password === 'correct:horse') ||
      (hash === users.get('gr\u00e4ce') && password === 'x')
    );
  };
  return { asked, auth: new BasicAuth(users, compare, options) };
}

const WRONG = { kind: 'refused', reason: 'wrong' };
const MALFORMED = { kind: 'refused', reason: 'malformed' };

test('bcrypt decides, colons and UTF-8 included', async () => {
  const auth = new BasicAuth(users, thread.compare);
  assert.deepEqual(await auth.verify(basic('ada', 'correct:horse')), { kind: 'accepted', user: 'ada' });
  assert.deepEqual(await auth.verify(basic('gr\u00e4ce', 'caf\u00e9').replace('Basic', 'bAsIc  ')), {
    kind: 'accepted',
    user: 'gr\u00e4ce',
  });
  for (const [user, password] of [
    ['ada', 'caf\u00e9'],
    ['ada', ''],
    ['Ada', 'correct:horse'],
    ['', ''],
    ['nobody', 'x'],
  ] as const)
    assert.deepEqual(await auth.verify(basic(user, password)), WRONG, user);
});

test('what is no Basic credential is refused before bcrypt', async () => {
  const { auth, asked } = counting();
  assert.deepEqual(auth.verify(undefined), { kind: 'refused', reason: 'missing' });
  const noColon = `Basic ${Buffer.from('ada').toString('base64')}`;
  const latin1 = `Basic ${Buffer.from('gr\u00e4ce:x', 'latin1').toString('base64')}`;
  for (const header of [
    '',
    'Basic',
    'Basic ',
    'Basic a b',
    'Basic ====',
    'Bearer abc',
    'Basic YW=Rh',
    noColon,
    latin1,
    basic('ada', 'correct:horse\0'),
    basic('a\nb', 'c'),
    `Basic ${'A'.repeat(5000)}`,
    `${basic('ada', 'x')}, ${basic('ada', 'y')}`,
  ])
    assert.deepEqual(await auth.verify(header), MALFORMED, header);
  assert.equal(asked.length, 0);
});

test("an unknown user costs one comparison too, always with the same user's hash", async () => {
  const { auth, asked } = counting();
  const hashes = new Set<string>();
  for (let i = 0; i < 40; i++) {
    for (const password of ['x', 'y'])
      assert.deepEqual(await auth.verify(basic(`nobody-${i}`, password)), WRONG);
    const [one, two] = asked.splice(0);
    assert.equal(one?.hash, two?.hash);
    hashes.add(one!.hash);
  }
  assert.deepEqual(hashes, new Set(users.values()), 'costs as mixed as those of the real users');
  // 'x' fits gräce's hash: a decoy that fits admits no one.
  await auth.verify(basic('ada', 'wrong'));
  assert.equal(asked.length, 1);
});

test("a file without users refuses everyone, at bcrypt's pace", async () => {
  let slow = 0;
  const auth = new BasicAuth(new Map(), (password, hash) => {
    slow++;
    return thread.compare(password, hash);
  });
  const started = performance.now();
  assert.deepEqual(await auth.verify(basic('ada', 'x')), WRONG);
  assert.equal(slow, 1);
  assert.ok(performance.now() - started > 5, 'the stand-in is no hash at all');
});

test('verified credentials are remembered for a while, refused ones are not', async () => {
  let now = 0;
  const { auth, asked } = counting({ cacheMs: 1000, now: () => now });
  const good = basic('ada', 'correct:horse');
  await auth.verify(good);
  now = 999;
  assert.deepEqual(auth.verify(good), { kind: 'accepted', user: 'ada' }, 'at once, no promise');
  assert.equal(asked.length, 1);
  now = 1000;
  assert.ok(auth.verify(good) instanceof Promise, 'use does not prolong it');
  await auth.verify(good);
  assert.equal(asked.length, 2);
  for (let i = 0; i < 3; i++) await auth.verify(basic('ada', 'wrong'));
  assert.equal(asked.length, 5);
});

test('equal credentials that arrive together are compared once', async () => {
  const { auth, asked } = counting();
  const verdicts = await Promise.all(
    Array.from({ length: 6 }, () => auth.verify(basic('ada', 'correct:horse'))),
  );
  assert.ok(verdicts.every(verdict => verdict.kind === 'accepted'));
  assert.equal(asked.length, 1);
});

test('when bcrypt cannot answer the client is told to come back, and nothing is remembered', async () => {
  let answer: () => Promise<boolean | undefined> = async () => undefined;
  const auth = new BasicAuth(users, () => answer());
  assert.deepEqual(await auth.verify(basic('ada', 'correct:horse')), { kind: 'busy' });
  answer = () => Promise.reject(new Error('thread'));
  assert.deepEqual(await auth.verify(basic('ada', 'correct:horse')), { kind: 'busy' });
  answer = async () => true;
  assert.deepEqual(await auth.verify(basic('ada', 'correct:horse')), { kind: 'accepted', user: 'ada' });
});

test('the cache forgets what was unused for longest', () => {
  const cache = new CredentialCache<number>({ entries: 2, ms: 10, now: () => 0 });
  cache.set('a', 1);
  cache.set('b', 2);
  cache.get('a');
  cache.set('c', 3);
  assert.deepEqual(
    ['a', 'b', 'c'].map(key => cache.get(key)),
    [1, undefined, 3],
  );
  assert.equal(cache.size, 2);
  const none = new CredentialCache<number>({ entries: 0, ms: 10, now: () => 0 });
  none.set('a', 1);
  assert.equal(none.size, 0);
});

test('the thread leaves the event loop alone, bounds its queue, and ends with close', async () => {
  const own = new BcryptThread();
  const hash = hashSync('x', 10);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  assert.equal(await own.compare('x', hash), true);
  clearInterval(timer);
  assert.ok(turns >= 5, `${turns} turns while bcrypt ran`);
  assert.equal(await own.compare('y', 'no hash at all'), false);
  const many = Array.from({ length: 64 }, () => own.compare('x', hash));
  assert.equal(own.waiting, 64);
  assert.equal(await own.compare('x', hash), undefined);
  await own.close();
  assert.deepEqual(new Set((await Promise.all(many)).slice(1)), new Set([undefined]));
  assert.equal(await own.compare('x', hash), undefined);
});

test('the challenge names realm and charset', () => {
  assert.equal(basicChallenge('Staff only'), 'Basic realm="Staff only", charset="UTF-8"');
});
