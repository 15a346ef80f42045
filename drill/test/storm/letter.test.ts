import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { digestOf, letterOf } from '../../src/storm/letter.ts';
import { people, post } from './fixture.ts';

const author = people[0]!.address;
const many = Array.from({ length: 200 }, (_, i) => letterOf(i + 1, author, post));

suite('the letters of a storm', () => {
  test('are the same for the same number, author and seed, and no two alike', () => {
    assert.deepEqual(letterOf(9, author, post), many[8]);
    assert.notEqual(digestOf(letterOf(9, author, { ...post, seed: 8 })), digestOf(many[8]!));
    assert.equal(new Set(many.map(digestOf)).size, many.length);
  });

  test('go to one recipient or several, each once, and never to their author', () => {
    const counts = new Set<number>();
    for (const { to, cc } of many) {
      const recipients = [...to, ...cc];
      counts.add(recipients.length);
      assert.equal(new Set(recipients).size, recipients.length);
      assert.ok(!recipients.includes(author));
    }
    assert.deepEqual([...counts].sort(), [1, 2]);
  });

  test('some have a file and some have not, some have lines that are a dot, and none is empty', () => {
    const files = many.map(({ files: each }) => each.length);
    assert.deepEqual([...new Set(files)].sort(), [0, 1]);
    assert.ok(many.some(({ body }) => body.split('\n').includes('.')));
    assert.ok(many.every(({ body, number }) => body.startsWith(`Letter ${number}.\n`)));
  });

  test('are told apart by whatever somebody could miss in them', () => {
    const letter = many.find(({ files, cc }) => files.length > 0 && cc.length > 0)!;
    const { files, to, cc, body } = letter;
    const [file] = files;
    for (const change of [
      { author: cc[0]! },
      { to: cc, cc: to },
      { cc: [] },
      { subject: 'storm 1000' },
      { body: body.replace('end', 'und') },
      { files: [] },
      { files: [{ ...file!, name: 'other.bin' }] },
      { files: [{ ...file!, bytes: file!.bytes.subarray(1) }] },
    ]) {
      assert.notEqual(digestOf({ ...letter, ...change }), digestOf(letter), Object.keys(change).join());
    }
    assert.equal(digestOf({ ...letter, body: `${body}\n` }), digestOf(letter));
  });
});
