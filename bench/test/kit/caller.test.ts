import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Caller } from '../../src/kit/caller.ts';

test('a caller in a place that does not exist is an error at once, not a call that is never answered', async () => {
  await assert.rejects(Caller.start({ subject: 'app', namespace: '/run/netns/nowhere' }), /nowhere/);
});
