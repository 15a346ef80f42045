import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { checkShape, ShapeError, type ShapeInput, wire } from '../src/index.ts';
import { longLine, narrowPlace } from '../src/tc-netem.ts';

function problems(input: unknown): readonly string[] {
  try {
    checkShape(input as ShapeInput);
  } catch (error) {
    assert.ok(error instanceof ShapeError);
    return error.problems;
  }
  return [];
}

suite('the description of a link', () => {
  test('what is left out is a wire', () => {
    assert.deepEqual(checkShape({}), { there: wire, back: wire });
    const { there, back } = checkShape({
      there: { delay: 5 },
      back: { rate: 1e6, queue: { bytes: 20_000 } },
    });
    assert.deepEqual(there, { ...wire, delay: 5 });
    assert.deepEqual(back, { ...wire, rate: 1e6, queue: { bytes: 20_000 } });
  });

  test('one description stands for both directions', () => {
    const both = { delay: 33, rate: 20e6, loss: 1, queue: { packets: 100 } };
    const { there, back } = checkShape(both);
    assert.deepEqual(there, { ...wire, ...both });
    assert.deepEqual(back, there);
  });

  for (const [input, expected] of [
    [{ loss: 101 }, 'loss: must be within 0…100 %'],
    [{ loss: -1 }, 'loss: must be within 0…100 %'],
    [{ reorder: Number.NaN, delay: 1 }, 'reorder: must be within 0…100 %'],
    [{ duplicate: '5' }, 'duplicate: must be within 0…100 %'],
    [{ delay: -1 }, 'delay: must be within 0…60000 ms'],
    [{ delay: 10, jitter: 11 }, 'jitter: must be within 0…10 ms, the delay'],
    [{ rate: 0 }, 'rate: must be within 8…100000000000 bit/s, or null for no limit'],
    [{ reorder: 5 }, 'reorder: wants a delay that packets can skip'],
    [{ queue: {} }, 'queue: must have either packets or bytes'],
    [{ queue: { packets: 1, bytes: 2000 } }, 'queue: must have either packets or bytes'],
    [{ queue: { packets: 1.5 } }, 'queue.packets: must be a whole number within 1…10000'],
    [{ queue: { bytes: 1000 } }, 'queue.bytes: must be a whole number within 1514…15000000'],
    [{ colour: 1 }, /^colour: is no property of a link; there are delay, jitter, rate, loss/],
    [{ there: { loss: 200 }, back: {} }, 'there.loss: must be within 0…100 %'],
    [{ there: {}, back: {}, loss: 1 }, 'loss: stands beside there and back; put it into both'],
  ] as const) {
    test(`${JSON.stringify(input)} is refused with a sentence`, () => {
      const found = problems(input);
      assert.equal(found.length, 1, found.join('; '));
      if (typeof expected === 'string') assert.equal(found[0], expected);
      else assert.match(found[0]!, expected);
    });
  }

  test('all problems are told at once', () => {
    assert.deepEqual(problems({ there: { loss: 101 }, back: { delay: -1, duplicate: 200 } }), [
      'there.loss: must be within 0…100 %',
      'back.delay: must be within 0…60000 ms',
      'back.duplicate: must be within 0…100 %',
    ]);
  });
});

suite('the words for tc', () => {
  test("packets wait at netem's own rate, bytes in a token bucket", () => {
    assert.equal(
      narrowPlace({ ...wire, rate: 39_500, queue: { packets: 100 } }, 1500),
      'netem limit 100 rate 39500bit',
    );
    assert.equal(
      narrowPlace({ ...wire, rate: 20e6, queue: { bytes: 30_000 } }, 1500),
      'tbf rate 20000000bit burst 2500 limit 30000',
    );
    assert.equal(
      narrowPlace({ ...wire, rate: 1e6, queue: { bytes: 30_000 } }, 1500),
      'tbf rate 1000000bit burst 1518 limit 30000',
    );
    assert.match(narrowPlace(wire, 1500), /^netem limit \d+ rate \d+bit$/);
  });

  test('the line behind has everything else', () => {
    const line = longLine({ ...wire, delay: 33.25, jitter: 2, loss: 0.5, reorder: 25, duplicate: 3 }, 7);
    assert.match(
      line,
      /^netem limit \d+ delay 33250us 2000us loss 0\.5% duplicate 3% reorder 25% rate \d+bit seed 7$/,
    );
    assert.doesNotMatch(longLine(wire), /reorder|seed/);
  });
});
