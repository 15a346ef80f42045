/**
 * A back end that comes back is asked again, takes new connections, and what it still has of former ones is not heard: one
 * connection goes to and fro between two back ends.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import type { ClientConnection } from './fixtures/client.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

/** Back ends that a connection is driven away from, one after the other. */
const MOVES = 3;
const PACE = 4e6;
const BYTES = 120_000_000;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function former(): Promise<number> {
  return (await lab.component('logger-1')).metrics['packets_total.back_former']!;
}

/** The back end that holds it, once it is not that one. */
async function holder(connection: ClientConnection, but?: string): Promise<string> {
  return waitFor(`${connection.local} to have left ${but ?? 'nobody'}`, 20_000, async () => {
    const { backend } = await lab.connection(connection.local);
    return backend === but ? null : backend;
  });
}

/** A new connection that this back end serves: it is in use again. */
async function servesAgain(backend: string): Promise<void> {
  await waitFor(`${backend} to serve a new connection`, 20_000, async () => {
    const connection = await (await lab.client()).connect(lab.site);
    const { text } = await connection.request({ path: '/whoami' }).done;
    await connection.close();
    return JSON.parse(text!).backend === backend;
  });
}

for (const fault of ['cut', 'freeze', 'crash'] as const) {
  labTest(
    `${fault} to and fro: a download and a connection of POSTs, on the same sockets`,
    theLab,
    async t => {
      const engine = new NetnsEngine();
      const client = await lab.client();
      const down = await client.connect({ ...lab.site, bufferBytes: 131_072 });
      const posting = await client.connect(lab.site);
      const download = down.request({
        path: `/bytes/${BYTES}`,
        patternFrom: 0,
        bytesPerSecond: PACE,
        deadlineMs: 120_000,
      });
      const run = `${fault}-${process.pid}`;
      const answers: number[] = [];
      let isOver = false;
      const posts = (async () => {
        while (!isOver) {
          const headers = { 'X-Request-Token': `${run}-${answers.length}` };
          const request = { method: 'POST', path: '/count?ms=5', headers, deadlineMs: 30_000 };
          answers.push((await posting.request(request).done).status);
        }
      })();
      await download.received(1_000_000);
      const way = [await holder(down)];
      const heard: number[] = [];
      try {
        for (let move = 0; move < MOVES; move++) {
          const present = way.at(-1)!;
          const before = await former();
          await engine[fault](present);
          way.push(await holder(down, present));
          await engine.heal(present);
          await servesAgain(present);
          // Its former connections are still there, unless it has died; they have been heard, and by nobody else.
          if (fault !== 'crash')
            await waitFor(`${present} to speak out of turn`, 20_000, async () => (await former()) > before);
          heard.push((await former()) - before);
        }
      } finally {
        isOver = true;
      }
      await posts;
      const exchange = await download.done;
      assert.deepEqual([exchange.received, exchange.sha256], [BYTES, patternHash(BYTES)]);
      assert.equal(new Set(way).size, 2);
      const { failovers } = await lab.connection(down.local);
      assert.ok(failovers >= MOVES, `moved ${failovers} times`);
      t.diagnostic(
        `${way.join(' → ')}; packets of former ones dropped: ${heard.join(', ')}; POSTs: ${answers.length}`,
      );

      // An update that may have run is refused, and the connection goes on.
      const refused = answers.filter(status => status !== 200);
      assert.ok(refused.every(status => status === 502) && refused.length <= MOVES, refused.join(' '));
      assert.ok(answers.length > 2 * MOVES, `inconclusive: only ${answers.length} POSTs`);
      if (fault !== 'crash') {
        const tokens = (await lab.counts())
          .flatMap(each => each.tokens)
          .filter(each => each.startsWith(`${run}-`));
        assert.equal(new Set(tokens).size, tokens.length, 'no POST was executed twice');
        const unanswered = answers.flatMap((status, index) =>
          status === 200 && !tokens.includes(`${run}-${index}`) ? [index] : [],
        );
        assert.deepEqual(unanswered, [], 'whatever was answered was executed');
      }
      await down.close();
      await posting.close();
    },
    240_000,
  );
}
