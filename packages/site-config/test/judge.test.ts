import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { BcryptThread } from '../src/bcrypt-thread.ts';
import { compileJudge } from '../src/judge.ts';
import { PasswordFile } from '../src/password-file.ts';
import type { RoutableHead } from '../src/place.ts';
import type { Listener } from '../src/schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'resplice-judge-'));
const thread = new BcryptThread();
after(async () => {
  rmSync(directory, { recursive: true });
  await thread.close();
});
const file = join(directory, 'staff.htpasswd');
const line = (user: string) => `${user}:${hashSync('secret', 4)}\n`;
writeFileSync(file, line('ada'));

const basic = (user: string, password = 'secret') =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const CLIENT = 0x0a3d_0002;

function head(target: string, ...authorizations: string[]): RoutableHead {
  const fields = authorizations.map(value => ({ name: 'authorization', value }));
  return { method: 'GET', target, version: '1.1', fields: [{ name: 'Host', value: 'a' }, ...fields] };
}

const listener: Listener = {
  name: 'staff',
  port: 80,
  allow: ['10.61.0.0/24'],
  auth: { basic: { realm: 'Staff', htpasswd: file } },
  routes: [{ match: { pathPrefix: '/a' }, pool: 'first' }],
};

suite('a judge', () => {
  const judge = compileJudge(listener, thread.compare);
  const judged = async (...of: Parameters<typeof judge>) => {
    const judgement = await judge(...of);
    return judgement.kind === 'pool' ? judgement.pool : judgement.status;
  };

  test('says first who may ask, then whether it is clear, then who it is, then where it goes', async () => {
    assert.equal(await judged(head('/%zz'), 0x0a3e_0002), 403);
    assert.equal(await judged(head('/a#b'), CLIENT), 400);
    assert.equal(await judged(head('/b'), CLIENT), 401);
    assert.equal(await judged(head('/b', basic('ada')), CLIENT), 404);
    assert.equal(await judged(head('/a', basic('ada')), CLIENT), 'first');
    assert.equal(await judged(head('/x/..%2fa', basic('ada')), CLIENT), 400);
  });

  test('wrong credentials: 401 with the challenge; two of them: 400', async () => {
    for (const wrong of [basic('ada', 'wrong'), basic('eve'), 'Bearer x', 'Basic !']) {
      assert.deepEqual(await judge(head('/a', wrong), CLIENT), {
        kind: 'refused',
        status: 401,
        reason: 'Say who you are.',
        challenge: 'Basic realm="Staff", charset="UTF-8"',
      });
    }
    assert.equal(await judged(head('/a', basic('eve'), basic('ada')), CLIENT), 400);
  });

  test('answers at once what it has compared before', async () => {
    await judge(head('/a', basic('ada')), CLIENT);
    assert.ok(!(judge(head('/a', basic('ada')), CLIENT) instanceof Promise));
  });

  test('too many passwords at once: 503', async () => {
    const busy = compileJudge(listener, async () => undefined);
    const judgement = await busy(head('/a', basic('ada')), CLIENT);
    assert.equal(judgement.kind === 'refused' && judgement.status, 503);
  });

  test('is not made of a file that cannot be followed', () => {
    const of = (htpasswd: string) => () =>
      compileJudge({ ...listener, auth: { basic: { realm: 'x', htpasswd } } }, thread.compare);
    assert.throws(of(join(directory, 'none')), /none does not exist/);
    const plain = join(directory, 'plain.htpasswd');
    writeFileSync(plain, 'ada:secret\n');
    assert.throws(of(plain), /plain\.htpasswd:1:5: ada: is plain text/);
  });
});

test('a password file is followed a second later, unless it is wrong', async () => {
  let now = 0;
  const own = join(directory, 'own.htpasswd');
  writeFileSync(own, line('ada'));
  const passwords = new PasswordFile(own, thread.compare, { now: () => now });
  const may = async (user: string) => (await passwords.auth.verify(basic(user))).kind === 'accepted';
  assert.deepEqual([await may('ada'), await may('eve')], [true, false]);
  writeFileSync(own, line('eve') + line('linus'));
  assert.deepEqual([await may('ada'), await may('eve')], [true, false], 'not yet');
  now = 1000;
  assert.deepEqual([await may('ada'), await may('eve')], [false, true]);
  writeFileSync(own, 'half a li');
  now = 2000;
  assert.equal(await may('eve'), true, 'as it was');
  writeFileSync(own, line('ada'));
  now = 3000;
  assert.deepEqual([await may('ada'), await may('eve')], [true, false]);
});
