import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { buildDemo } from '@resplice/demo';
import { Witness } from '../src/witness.ts';

/** A site in this place, as it runs on a back end. */
async function site(port = 0) {
  const app = buildDemo({ backend: 'backend-1' });
  const url = await app.listen({ host: '127.0.0.1', port });
  const post = async (token: string, query = '') => {
    const headers = { 'X-Request-Token': token };
    return (await fetch(`${url}/count${query}`, { method: 'POST', headers })).text();
  };
  return { app, post, port: Number(new URL(url).port) };
}

const here = '/proc/self/ns/net';

suite('the witness', () => {
  test('knows who holds a request, how far it has come, and how often it ran', async () => {
    const { app, post, port } = await site();
    const witness = await Witness.start([{ name: 'backend-1', namespace: here, port }]);
    try {
      assert.equal(await witness.seen('a', 'begin', 50), undefined);
      const answered = post('a', '?ms=200');
      assert.equal(await witness.seen('a', 'executed', 5000), 'backend-1');
      assert.equal(witness.holderOf('a'), 'backend-1');
      await answered;
      await post('a');
      await witness.settled();
      assert.equal(witness.holderOf('a'), undefined);
      assert.deepEqual(witness.stepsOf('a'), ['begin', 'executed', 'finish', 'begin', 'executed', 'finish']);
      assert.deepEqual([witness.executions('a'), witness.executions('b')], [2, 0]);
    } finally {
      await witness.stop();
      await app.close();
    }
  });

  test('remembers what a process had told that is no more, and hears the next one', async () => {
    const first = await site();
    const { port } = first;
    const witness = await Witness.start([{ name: 'backend-1', namespace: here, port }]);
    try {
      await first.post('a');
      await first.app.close();
      const second = await site(port);
      await second.post('a');
      await witness.settled();
      assert.equal(witness.executions('a'), 2);
      assert.deepEqual(witness.stepsOf('a'), ['begin', 'executed', 'finish'], "the present process' own");
      await second.app.close();
    } finally {
      await witness.stop();
    }
  });

  test('cannot be had where nobody tells anything', async () => {
    const { app, port } = await site();
    await app.close();
    const start = Witness.start([{ name: 'backend-7', namespace: here, port }], 500);
    await assert.rejects(start, /in vain for backend-7's site to give a sign of life/);
  });
});
