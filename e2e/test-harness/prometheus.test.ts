import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics } from '../fixtures/prometheus.ts';

const GOOD = '# HELP a_total What.\n# TYPE a_total counter\na_total{b="c\\"d\\\\",e=""} 3\na_total 4e3\n';

test('well-formed text is read', () => {
  assert.deepEqual(parseMetrics(GOOD), [
    { name: 'a_total', labels: { b: 'c"d\\', e: '' }, value: 3 },
    { name: 'a_total', labels: {}, value: 4000 },
  ]);
  const histogram = '# HELP h x\n# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 1.5\nh_count 2\n';
  assert.equal(parseMetrics(histogram).length, 3);
  const [mean] = parseMetrics('# HELP m x\n# TYPE m gauge\nm Nan\n');
  assert.ok(Number.isNaN(mean!.value));
});

for (const [name, text] of [
  ['a last line without an end', GOOD.slice(0, -1)],
  ['a name with a dash', '# HELP a x\n# TYPE a gauge\na-b 1\n'],
  ['a sample of no family', 'a 1\n'],
  ['a sample of another family', `${GOOD}b 1\n`],
  ['a sample twice', `${GOOD}a_total 5\n`],
  ['a type twice', `${GOOD}# TYPE a_total counter\n`],
  ['an unknown type', '# HELP a x\n# TYPE a number\na 1\n'],
  ['no help', '# TYPE a gauge\na 1\n'],
  ['a label without quotes', '# HELP a x\n# TYPE a gauge\na{b=c} 1\n'],
  ['a label with a line feed', '# HELP a x\n# TYPE a gauge\na{b="c\nd"} 1\n'],
  ['a label twice', '# HELP a x\n# TYPE a gauge\na{b="c",b="d"} 1\n'],
  ['no value', '# HELP a x\n# TYPE a gauge\na \n'],
  ['undefined', '# HELP a x\n# TYPE a gauge\na undefined\n'],
  ['a counter below zero', '# HELP a x\n# TYPE a counter\na -1\n'],
] as const) {
  test(`refused: ${name}`, () => {
    assert.throws(() => parseMetrics(text));
  });
}
