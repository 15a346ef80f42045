import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { mapBytes, privateBytes } from '../src/memory.ts';

suite('memory', () => {
  test('of a process is what it shares with nobody', () => {
    const status = 'Name:\tnode\nVmRSS:\t  350000 kB\nRssAnon:\t  120000 kB\nRssFile:\t   40000 kB\n';
    assert.equal(privateBytes(status), 120_000 * 1024);
    assert.throws(() => privateBytes('Name:\tnode\n'), /no RssAnon/);
  });

  test('of the kernel is that of each map once, however many descriptors lead to it', () => {
    const map = (id: number, bytes: number) => `pos:\t0\nmap_type:\t2\nmemlock:\t${bytes}\nmap_id:\t${id}\n`;
    const program = 'pos:\t0\nprog_type:\t3\nmemlock:\t4096\nprog_id:\t5\n';
    assert.equal(mapBytes([map(1, 1000), map(2, 30), map(1, 1000), program, 'pos:\t0\n']), 1030);
    assert.equal(mapBytes([]), 0);
  });
});
