import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecordPool } from '../../src/http/record-pool.ts';
import { ResponseCheck } from '../../src/http/response-check.ts';
import { RECORD_LIMIT, ResponseRecord } from '../../src/http/response-record.ts';

const pool = new RecordPool(2 ** 30);
const EARLY = 'Tue, 03 Mar 2026 09:59:59 GMT';
const LATE = 'Tue, 03 Mar 2026 10:00:00 GMT';

function response({ date = EARLY, extra = '', body = 'Date: in a body\r\n\r\n', interim = '' } = {}): string {
  return `${interim}HTTP/1.1 200 OK\r\nServer: x\r\nDate: ${date}\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** @param whole the response that was recorded had ended */
function checkOf(recorded: string | Buffer, { whole = false, masked = ['date'] } = {}): ResponseCheck {
  const record = new ResponseRecord(pool);
  const bytes = Buffer.from(recorded as string, 'latin1');
  record.append(0, bytes, 0, bytes.length);
  if (whole) record.end(bytes.length);
  return new ResponseCheck(record, masked);
}

/** @returns the first offset that differs, or -1. The pieces lie in memory that holds other bytes around them. */
function compared(
  check: ResponseCheck,
  regenerated: string | Buffer,
  pieces: readonly number[] = [Infinity],
): number {
  const bytes = Buffer.from(regenerated as string, 'latin1');
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = bytes.subarray(at, at + pieces[turn % pieces.length]!);
    const difference = check.compare(
      at,
      Buffer.concat([Buffer.from('\r\n'), piece, Buffer.from('\r\n')]),
      2,
      2 + piece.length,
    );
    if (difference >= 0) return difference;
    at += piece.length;
  }
  return -1;
}

test('the same response agrees, however much of it was kept', () => {
  const text = response();
  for (let cut = 0; cut <= text.length; cut++) {
    const check = checkOf(text.slice(0, cut));
    assert.equal(check.hasPassed, cut === 0);
    assert.equal(compared(check, text), -1);
    assert.ok(check.hasPassed && check.ended(text.length));
    assert.equal(check.reached, text.length);
  }
});

test('another Date of the same length agrees, wherever the record was cut and the pieces are', () => {
  for (const interim of ['', `HTTP/1.1 103 \r\nDate: ${EARLY}\r\n\r\n`]) {
    const early = response({ interim });
    const late = response({ interim: interim.replace(EARLY, LATE), date: LATE });
    assert.equal(late.length, early.length);
    for (let cut = 0; cut <= early.length; cut++) {
      for (const piece of [1, 7, 1000]) {
        const check = checkOf(early.slice(0, cut), { whole: cut === early.length });
        assert.equal(compared(check, late, [piece]), -1, `cut at ${cut}`);
        assert.ok(check.hasPassed);
      }
    }
  }
});

test('one byte that is different is found, at every position but in a masked value, if it was kept', () => {
  const text = response();
  const from = text.indexOf(EARLY) - 1;
  const masked = (at: number) => at >= from && at < from + 1 + EARLY.length;
  for (let cut = 0; cut <= text.length; cut += 3) {
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'y' ? 'z' : 'y';
      const regenerated = text.slice(0, at) + other + text.slice(at + 1);
      const check = checkOf(text.slice(0, cut));
      const expected = at < cut && !masked(at) ? at : -1;
      assert.equal(compared(check, regenerated, [5, 11]), expected, `cut at ${cut}, different at ${at}`);
      assert.equal(check.hasPassed, expected < 0);
    }
  }
});

test('a regenerated response that is longer or shorter differs, if the first one was whole or known to be longer', () => {
  const text = response();
  const longer = `${text}x`;
  assert.equal(compared(checkOf(text, { whole: true }), longer), text.length);
  assert.equal(compared(checkOf(text, { whole: true }), longer, [1]), text.length);
  assert.equal(
    checkOf(text, { whole: true }).compare(text.length + 5, Buffer.from('x'), 0, 1),
    text.length + 5,
  );
  assert.equal(compared(checkOf(text), longer), -1, 'it may have gone on');
  for (let length = 0; length < text.length; length++) {
    for (const whole of [false, true]) {
      const check = checkOf(text, { whole });
      assert.equal(compared(check, text.slice(0, length)), -1);
      assert.ok(!check.hasPassed && !check.ended(length));
    }
  }
  assert.ok(checkOf(text).ended(text.length + 1));
  assert.ok(!checkOf(text, { whole: true }).ended(text.length + 1));
});

test('a Date of another length differs, if its end was kept', () => {
  const early = response();
  const end = early.indexOf(EARLY) + EARLY.length;
  for (const date of [`${EARLY}x`, EARLY.slice(1), '']) {
    const other = response({ date });
    for (let cut = end + 2; cut <= early.length; cut++) {
      const difference = compared(checkOf(early.slice(0, cut)), other);
      assert.ok(difference >= 0 && difference <= end, `${difference}, cut at ${cut}`);
    }
  }
});

test('no field hides behind a Date that is shorter', () => {
  const hiding = `${EARLY.slice(0, 10)}\r\nX: ${'y'.repeat(EARLY.length - 15)}`;
  assert.equal(hiding.length, EARLY.length);
  assert.equal(compared(checkOf(response()), response({ date: hiding })), response().indexOf(EARLY) + 10);
});

for (const [name, extra, other] of [
  ['that only ends in date', 'X-Date: 1\r\n', 'X-Date: 2\r\n'],
  ['that only begins with date', 'Date-X: 1\r\n', 'Date-X: 2\r\n'],
  ['of that value', 'X: date: 1\r\n', 'X: date: 2\r\n'],
] as const) {
  test(`a field ${name} is not masked`, () => {
    const text = response({ extra });
    assert.equal(compared(checkOf(text), response({ extra: other })), text.indexOf(extra) + extra.length - 3);
  });
}

test('a line of the body that looks like a Date is not masked', () => {
  const text = response();
  const other = text.replace('in a body', 'in a cody');
  assert.equal(compared(checkOf(text), other), text.indexOf('body'));
  const second = `${text}${response()}`;
  assert.equal(
    compared(checkOf(second), `${text}${response({ date: LATE })}`),
    text.length + [...EARLY].findIndex((letter, i) => letter !== LATE[i]) + response().indexOf(EARLY),
    'nor is one behind the response',
  );
});

test('what follows a 101 is another protocol, in which nothing is masked', () => {
  const text = 'HTTP/1.1 101 x\r\nDate: a\r\n\r\nX\r\nDate: a\r\n\r\n';
  assert.equal(compared(checkOf(text), text.replace('Date: a', 'Date: b')), -1);
  assert.equal(compared(checkOf(text), text.replace('X\r\nDate: a', 'X\r\nDate: b')), text.lastIndexOf('a'));
});

test('other fields are masked if they are named, in whatever case they come; lengths never are', () => {
  const text = response({ extra: 'x-ID: 1\r\nSet-Cookie: a=1\r\nSET-COOKIE: b=1\r\n' });
  const other = text.replaceAll('=1', '=2').replace('x-ID: 1', 'x-ID: 2').replace(EARLY, LATE);
  const masked = ['x-id', 'set-cookie', 'date'];
  assert.equal(compared(checkOf(text, { masked }), other), -1);
  assert.equal(compared(checkOf(text, { masked: ['x-id', 'date'] }), other), text.indexOf('=1') + 1);
  const length = text.indexOf('Content-Length: ') + 16;
  const shorter = `${text.slice(0, length)}00${text.slice(length + 2)}`;
  assert.equal(compared(checkOf(text, { masked: ['content-length', 'transfer-encoding'] }), shorter), length);
});

test('the head may be long, and the Date its last field', () => {
  const text = response({ extra: `${'X: y\r\n'.repeat(5000)}Date: ${EARLY}\r\n` });
  assert.equal(compared(checkOf(text), text.replaceAll(EARLY, LATE), [1460]), -1);
});

test('pieces behind a gap are compared, but do not count until it is closed', () => {
  const text = Buffer.from(response());
  const check = checkOf(text);
  assert.equal(check.compare(20, text, 20, 30), -1);
  assert.equal(check.reached, 0);
  assert.equal(check.compare(20, text, 21, 30), 20);
  assert.equal(check.compare(0, text, 0, 20), -1);
  assert.equal(check.reached, 20);
  assert.equal(check.compare(10, text, 10, text.length), -1);
  assert.ok(check.hasPassed);
});

test('beyond the record nothing is compared, and what is appended meanwhile neither', () => {
  const long = Buffer.alloc(RECORD_LIMIT + 5000, 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n');
  const other = Buffer.from(long).fill('z', RECORD_LIMIT);
  assert.equal(compared(checkOf(long), other, [1460]), -1);
  other[RECORD_LIMIT - 1] = 0;
  assert.equal(compared(checkOf(long), other, [1460]), RECORD_LIMIT - 1);

  const record = new ResponseRecord(pool);
  record.append(0, long, 0, 100);
  const check = new ResponseCheck(record);
  record.append(100, Buffer.alloc(100, 'w'), 0, 100);
  assert.equal(check.compare(90, long, 90, 300), -1);
});

test('any two responses: the first difference outside masked values is found, whatever the pieces', () => {
  const text = response({ extra: 'X: y\r\n' });
  const from = text.indexOf(EARLY) - 1;
  const masked = (at: number) => at >= from && at < from + 1 + EARLY.length;
  const changes = fc.array(fc.tuple(fc.nat(text.length - 1), fc.constantFrom('a', '\t', '~', '\xff')), {
    maxLength: 6,
  });
  const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.nat(text.length), changes, pieces, (cut, places, sizes) => {
      const letters = [...text];
      for (const [at, letter] of places) letters[at] = letter;
      const expected = letters.findIndex((letter, at) => at < cut && letter !== text[at] && !masked(at));
      const check = checkOf(text.slice(0, cut));
      assert.equal(compared(check, letters.join(''), sizes), expected);
      assert.equal(check.hasPassed, cut === 0 || expected < 0);
    }),
    { numRuns: 1000 },
  );
});
