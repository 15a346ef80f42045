/** Who may speak for a transaction, and who no longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Claims, type Speaker } from '../../src/aux/claims.ts';
import type { ClaimRecord } from '../../src/aux/outcomes.ts';
import { AuxiliaryTally } from '../../src/aux/tally.ts';

interface TestSpeaker extends Speaker {
  wasCut: string;
}

function speaker(backend: string, attempt: number, epoch = 1000, transaction = 'T'): TestSpeaker {
  const caller = { backend: 1, epoch, attempt, step: 0 };
  return {
    ...{ transaction, backend, caller, wasCut: '' },
    cut(why: string) {
      this.wasCut = why;
    },
  };
}

function claims() {
  const tally = new AuxiliaryTally();
  const records: ClaimRecord[] = [];
  return { tally, records, claims: new Claims(tally, record => records.push(record)) };
}

test('a higher attempt cuts the lower ones of its transaction, and they stay out', () => {
  const { claims: all, tally } = claims();
  const [first, other] = [speaker('backend-1', 0), speaker('backend-1', 0, 1000, 'U')];
  assert.equal(all.admit(first), undefined);
  assert.equal(all.admit(other), undefined);
  assert.equal(all.admit(speaker('backend-2', 1)), undefined);
  assert.match(first.wasCut, /another back end/);
  assert.equal(other.wasCut, '');
  assert.match(all.admit(speaker('backend-1', 0))!, /another back end/);
  assert.equal(all.admit(speaker('backend-2', 1)), undefined);
  assert.deepEqual([tally.takeovers, tally.cut, tally.refusedAttempts], [1, 1, 1]);
});

test('a newer epoch cuts what the back end had open before it started anew', () => {
  const { claims: all, tally } = claims();
  const [before, other] = [speaker('backend-1', 0, 1000), speaker('backend-2', 0, 900, 'U')];
  all.admit(before);
  all.admit(other);
  assert.equal(all.admit(speaker('backend-1', 0, 1001, 'V')), undefined);
  assert.match(before.wasCut, /started anew/);
  assert.equal(other.wasCut, '');
  assert.match(all.admit(speaker('backend-1', 5, 1000))!, /started anew/);
  assert.equal(tally.refusedEpochs, 1);
});

test('what was cut or left is not cut again', () => {
  const { claims: all, tally } = claims();
  const first = speaker('backend-1', 0);
  all.admit(first);
  all.leave(first);
  all.admit(speaker('backend-2', 1));
  assert.equal(first.wasCut, '');
  assert.equal(tally.cut, 0);
});

test('a successor of the daemon knows the same', () => {
  const { claims: before, records } = claims();
  before.admit(speaker('backend-1', 0, 1000));
  before.admit(speaker('backend-2', 2, 2000));
  const { claims: after } = claims();
  for (const record of records) after.restore(record);
  assert.match(after.admit(speaker('backend-1', 1, 1000))!, /another back end/);
  assert.match(after.admit(speaker('backend-2', 2, 1999))!, /started anew/);
  assert.equal(after.admit(speaker('backend-2', 2, 2000)), undefined);
});
