import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Random } from '../simulation/random.ts';
import { recorded } from '../simulation/recorded.ts';
import { simulate } from '../simulation/simulate.ts';
import { boundsWith } from '../simulation/tables.ts';

const line = (fields: object) =>
  JSON.stringify({ method: 'GET', path: '/cart/7?x=1', first_ms: 12, ...fields });
const played = (text: string) => recorded('shop', text).begin(new Random(1))(0);
const steps = (text: string) =>
  played(text)
    .happenings.filter(({ what }) => what !== 'ack')
    .map(({ what, at }) => `${what} ${at}`);

suite('a recorded transaction', () => {
  test('is played as it was', () => {
    assert.deepEqual(steps(line({ rest_ms: [3, 900] })), [
      'complete 0',
      'first 12',
      'bytes 16',
      'bytes 917',
      'done 918',
    ]);
  });

  test('may be given in seconds, and by its end', () => {
    assert.deepEqual(steps(line({ first_ms: undefined, first_s: 0.012, total_s: 0.02 })), [
      'complete 0',
      'first 12',
      'bytes 21',
      'done 22',
    ]);
    assert.deepEqual(steps(line({ total_ms: 12 })), ['complete 0', 'first 12', 'done 13']);
  });

  test('is that of the server which answered', () => {
    const retried = line({ first_ms: undefined, first_s: '0.1, 0.012', total_s: '0.1, 0.012' });
    assert.deepEqual(steps(retried), ['complete 0', 'first 12', 'done 13']);
    const unanswered = line({ first_ms: undefined, first_s: '0.1, -' });
    assert.equal(recorded('shop', [unanswered, line({})].join('\n')).transactions, 1);
  });

  test('has the class that the logger would give it', () => {
    const of = (fields: object) => played(line(fields)).cls;
    assert.equal(of({}), of({ path: '/cart/8' }));
    assert.equal(of({}), of({ method: 'HEAD' }));
    assert.notEqual(of({}), of({ method: 'POST' }));
    assert.notEqual(of({}), of({ path: '/other' }));
  });

  for (const [what, text, sentence] of [
    ['no JSON', '{', 'shop:2: not JSON'],
    ['no object', '7', 'shop:2: not an object'],
    ['no path', line({ path: 1 }), 'shop:2: needs "method" and "path", strings'],
    ['no time', line({ first_ms: undefined }), 'shop:2: needs "first_ms" or "first_s"'],
    ['a time that is text', line({ first_ms: 'soon' }), 'shop:2: "first" is to be a number, 0 or more'],
    ['negative', line({ total_ms: -1 }), 'shop:2: "total" is to be a number, 0 or more'],
    ['no list', line({ rest_ms: 3 }), 'shop:2: "rest_ms" is to be a list of numbers'],
  ] as const)
    test(`that cannot be read is told with its line: ${what}`, () => {
      assert.throws(() => recorded('shop', `${line({})}\n${text}\n`), {
        name: 'TraceError',
        message: sentence,
      });
    });

  test('an empty trace is none', () => {
    assert.throws(() => recorded('shop', '\n'), { message: 'shop:1: no transactions' });
  });
});

test('a trace is played once, and its wrong suspicions are counted', () => {
  const usual = Array.from({ length: 999 }, () => line({}));
  const slow = line({ first_ms: 5000 });
  const trace = recorded('shop', [...usual, slow].join('\n'));
  const outcome = simulate(trace, {}, boundsWith(400), { transactions: trace.transactions, seed: 1 });
  assert.deepEqual([trace.transactions, outcome.falseSuspicions], [1000, 100]);
});
