import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delegatedPassword, hashPassword, isDelegated, verifyPassword } from '../src/index.ts';

test('a password is verified by its hash, which tells its costs and never itself', async () => {
  const stored = await hashPassword('correct horse');
  assert.match(stored, /^scrypt\$15\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
  assert.notEqual(await hashPassword('correct horse'), stored, 'salted');
  assert.equal(await verifyPassword('correct horse', stored), true);
  assert.equal(await verifyPassword('correct horsf', stored), false);
  assert.equal(await verifyPassword('', stored), false);
  // Composed or not: the same word on another keyboard.
  assert.equal(await verifyPassword('u\u0308ber alles', await hashPassword('über alles')), true);
});

test('nobody and unusable hashes let nobody in', async () => {
  for (const stored of [undefined, '!', '', 'scrypt$15$8$3$x']) {
    assert.equal(await verifyPassword('x', stored), false);
    assert.equal(await verifyPassword('', stored), false);
  }
  assert.equal(await verifyPassword('x'.repeat(10_000), await hashPassword('y')), false);
});

test('an account that is not there takes as long as one that is', async () => {
  const stored = await hashPassword('x');
  const timed = async (hash: string | undefined): Promise<number> => {
    const start = performance.now();
    await verifyPassword('wrong', hash);
    return performance.now() - start;
  };
  // In turn, so that what else the machine does meets both.
  let [there, absent] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < 5; i++) {
    there = Math.min(there, await timed(stored));
    absent = Math.min(absent, await timed(undefined));
  }
  assert.ok(absent > there / 2 && absent < there * 2, `${there} ms and ${absent} ms`);
});

test('a delegated password is one account’s, and of this key', () => {
  const key = 'k'.repeat(32);
  const password = delegatedPassword(key, 'Ada@x.example');
  assert.equal(isDelegated(key, 'ada@x.example', password), true);
  assert.equal(isDelegated(key, 'ben@x.example', password), false);
  assert.equal(isDelegated('l'.repeat(32), 'ada@x.example', password), false);
  assert.equal(isDelegated(key, 'ada@x.example', 'delegated:'), false);
});
