import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Assembly } from '../src/assembly.ts';

/** What an assembly has given out, and what it gives now. */
function collector() {
  const assembly = new Assembly();
  const taken: number[] = [];
  return {
    assembly,
    taken,
    offer(at: number, values: readonly number[]): void {
      assembly.offer(at, Uint8Array.from(values), 0, values.length, (bytes, start, end, from) => {
        assert.equal(from, taken.length, 'without a gap, and nothing twice');
        taken.push(...bytes.subarray(start, end));
      });
    },
  };
}

suite('a direction put in order', () => {
  test('whatever the pieces and their order, the stream comes out, and the first copy of each byte', () => {
    const piece = fc.record({ at: fc.nat(60), length: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
        const { assembly, taken, offer } = collector();
        const first = new Map<number, number>();
        pieces.forEach(({ at, length }, index) => {
          for (let i = at; i < at + length; i++) if (!first.has(i)) first.set(i, index);
          offer(at, new Array(length).fill(index));
        });
        let end = 0;
        while (first.has(end)) end++;
        assert.equal(assembly.end, end);
        assert.equal(taken.length, end);
        // Overlapping pieces that wait at once may win by either; alone, each byte is its first copy's.
        const copies = (at: number) => pieces.filter(each => each.at <= at && at < each.at + each.length);
        taken.forEach((index, at) => {
          if (copies(at).length === 1) assert.equal(index, first.get(at));
        });
      }),
    );
  });

  test('the same byte again and again behind a gap is kept once', () => {
    const { assembly, taken, offer } = collector();
    for (let i = 0; i < 50_000; i++) offer(5, [1]);
    assert.deepEqual(assembly.runs(5), [[5, 6]]);
    offer(0, [0, 0, 0, 0, 0]);
    assert.deepEqual(taken, [0, 0, 0, 0, 0, 1]);
  });

  test('of countless pieces behind a gap so many are kept as full segments need; the rest comes again', () => {
    const { assembly, taken, offer } = collector();
    for (let i = 0; i < 50_000; i++) offer(10 + 2 * i, [2]);
    assert.equal(assembly.runs(0).length, 1024);
    offer(0, new Array(10).fill(0));
    assert.equal(taken.length, 11, 'up to the next gap');
    // As if sent again, in order.
    for (let i = 0; i < 3000; i++) offer(11 + i, [3]);
    assert.equal(taken.length, 3011);
  });
});
