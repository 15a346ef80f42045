import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compact, jsonIn } from '../src/index.ts';

test('values are kept with four digits, whole numbers and seeds with all', () => {
  const values = { share: 1 / 3, seed: 4_000_000_001, count: 123_456_789, text: '0.33333' };
  const page = `# A page\n\n\`\`\`json\n${JSON.stringify(values, compact)}\n\`\`\`\n`;
  assert.deepEqual(jsonIn(page), { ...values, share: 0.3333 });
  assert.equal(jsonIn('# A page\n'), undefined);
});
