/** Who may speak for a transaction, and who no longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '@resplice/service-kit';
import { Claims, type Speaker } from '../../src/aux/claims.ts';
import type { ClaimRecord } from '../../src/aux/outcomes.ts';
import { AuxiliaryTally } from '../../src/aux/tally.ts';

interface TestSpeaker extends Speaker {
  wasCut: boolean;
}

function speaker(backend: string, attempt: number, epoch = 1000, transaction = 'T'): TestSpeaker {
  const caller = { backend: 1, epoch, attempt, step: 0 };
  return {
    ...{ transaction, backend, caller, wasCut: false },
    cut() {
      this.wasCut = true;
    },
  };
}

function claims() {
  const tally = new AuxiliaryTally();
  const records: ClaimRecord[] = [];
  return { tally, records, claims: new Claims(tally, record => records.push(record), silentLog()) };
}

test('a higher attempt cuts the lower ones of its transaction, and they stay out', () => {
  const { claims: all, tally } = claims();
  const [first, other] = [speaker('backend-1', 0), speaker('backend-1', 0, 1000, 'U')];
  assert.equal(all.admit(first), true);
  assert.equal(all.admit(other), true);
  assert.equal(all.admit(speaker('backend-2', 1)), true);
  assert.equal(first.wasCut, true);
  assert.equal(other.wasCut, false);
  const again = speaker('backend-1', 0);
  assert.deepEqual([all.admit(again), again.wasCut], [false, true]);
  assert.equal(all.admit(speaker('backend-2', 1)), true);
  assert.deepEqual([tally.takeovers, tally.cut, tally.refusedAttempts], [1, 1, 1]);
});

test('a newer epoch cuts what the back end had open before it started anew', () => {
  const { claims: all, tally } = claims();
  const [before, other] = [speaker('backend-1', 0, 1000), speaker('backend-2', 0, 900, 'U')];
  all.admit(before);
  all.admit(other);
  assert.equal(all.admit(speaker('backend-1', 0, 1001, 'V')), true);
  assert.equal(before.wasCut, true);
  assert.equal(other.wasCut, false);
  assert.equal(all.admit(speaker('backend-1', 5, 1000)), false);
  assert.equal(tally.refusedEpochs, 1);
});

test('what was cut or left is not cut again', () => {
  const { claims: all, tally } = claims();
  const first = speaker('backend-1', 0);
  all.admit(first);
  all.leave(first);
  all.admit(speaker('backend-2', 1));
  assert.equal(first.wasCut, false);
  assert.equal(tally.cut, 0);
});

test('a successor of the daemon knows the same', () => {
  const { claims: before, records } = claims();
  before.admit(speaker('backend-1', 0, 1000));
  before.admit(speaker('backend-2', 2, 2000));
  const { claims: after } = claims();
  for (const record of records) after.restore(record);
  assert.equal(after.admit(speaker('backend-1', 1, 1000)), false);
  assert.equal(after.admit(speaker('backend-2', 2, 1999)), false);
  assert.equal(after.admit(speaker('backend-2', 2, 2000)), true);
});
