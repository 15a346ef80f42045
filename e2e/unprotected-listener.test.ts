/** A listener with `protect: false`: a dead proxy is no client's concern, a dead back end ends its connections, and a protected one goes on. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { ClientConnection, Transfer } from './fixtures/client.ts';
import type { ExchangeError } from './fixtures/exchange.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { shown } from './fixtures/logger.ts';

const SITE = `
listeners:
  - { name: web, port: 80, pool: web }
  - { name: media, port: 8090, pool: web, protect: false }
pools: { web: { backends: all } }
`;
const BYTES = 30_000_000;
const PACE = 10e6;

let lab: Lab;
before(async () => {
  lab = await Lab.up({ rules: SITE });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

const connect = async (port: number): Promise<ClientConnection> =>
  (await lab.client()).connect({ ...lab.site, port });
const download = (connection: ClientConnection): Transfer =>
  connection.request({ path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: PACE });

labTest("the logger's daemon starts anew in a download: it passes as before", theLab, async () => {
  const own = await connect(8090);
  const transfer = download(own);
  await transfer.received(BYTES / 10);
  await lab.fault('restart', 'logger-1/logger');
  assert.equal((await transfer.done).sha256, patternHash(BYTES));
  const { reason } = (await shown()).find(({ client }) => client === own.local)!;
  assert.equal(reason, 'its listener is not protected');
  await own.close();
});

for (const fault of ['crash', 'cut'] as const)
  labTest(`${fault} of both proxies, one after the other, in a download: it goes on`, theLab, async () => {
    const transfer = download(await connect(8090));
    await transfer.received(BYTES / 10);
    for (const proxy of ['proxy-1', 'proxy-2']) {
      await lab.fault(fault, proxy);
      await lab.heal();
    }
    assert.equal((await transfer.done).sha256, patternHash(BYTES));
  });

for (const fault of ['crash', 'cut'] as const)
  labTest(
    `${fault} of a back end in a download: the end, and a protected download goes on`,
    theLab,
    async () => {
      const [own, other] = [await connect(8090), await connect(80)];
      for (const each of [own, other])
        assert.equal((await each.request({ path: '/whoami' }).done).status, 200);
      const view = (await shown()).find(({ client }) => client === own.local);
      assert.equal(view?.reason, 'its listener is not protected');
      const backend = view.backend!;
      const transfers = [download(own), download(other)] as const;
      const failed = transfers[0].done.then(
        () => assert.fail('it went on'),
        (error: ExchangeError) => error.failure,
      );
      await Promise.all(transfers.map(each => each.received(BYTES / 10)));
      await lab.fault(fault, backend);
      const { kind, received } = await failed;
      assert.equal(kind, 'reset');
      assert.ok(received < BYTES);
      assert.equal((await transfers[1].done).sha256, patternHash(BYTES));
      await lab.heal();
      const anew = await connect(8090);
      assert.equal((await anew.request({ path: '/whoami' }).done).status, 200);
      await anew.close();
    },
  );
