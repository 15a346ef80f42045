import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { patternSlice } from '../src/byte-pattern.ts';

interface Hash {
  update(data: Uint8Array): Hash;
  digest(): string;
}
const page = new URL('../public/sha256.js', import.meta.url).href;
const { Sha256 } = (await import(page)) as { Sha256: new () => Hash };

test("the page's own SHA-256 agrees with the real one, however the input is cut", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 70_001]) {
    const data = patternSlice(9, length);
    const expected = createHash('sha256').update(data).digest('hex');
    for (const step of [1, 7, 64, 1000, 1 << 20]) {
      if (length / step > 5000) continue;
      const hash = new Sha256();
      for (let at = 0; at < length; at += step) hash.update(data.subarray(at, at + step));
      assert.equal(hash.digest(), expected, `${length} bytes in steps of ${step}`);
    }
  }
});
