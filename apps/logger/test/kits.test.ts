/** Who is told what may be forgotten: kits and back-end loggers hear it by channels of the same kind. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { ChannelServer } from '@resplice/kit-channel';
import { silentLog } from '@resplice/service-kit';
import { until } from '@resplice/service-kit/testing';
import { Kits } from '../src/kits.ts';
import { freePort } from './aux/fixture.ts';

const kitKey = Buffer.alloc(32, 0x5a);

/** A transaction's ID, as long as they are. */
const idOf = (name: string): string => name.padEnd(24, '-');

suite('what may be forgotten', () => {
  const heard: Record<'kit' | 'auxiliary', string[]> = { kit: [], auxiliary: [] };
  const servers: ChannelServer[] = [];
  let kits: Kits;
  before(async () => {
    const port = await freePort();
    for (const [name, address] of [
      ['kit', '127.0.0.2'],
      ['auxiliary', '127.0.0.3'],
    ] as const) {
      const server = new ChannelServer({
        ...{ kitKey, address, port, callers: new Set(['logger-1']) },
        handle(asked) {
          assert.equal(asked.type, 'commit');
          if (asked.type === 'commit') heard[name].push(...asked.transactions);
          return undefined;
        },
      });
      await server.listen();
      servers.push(server);
    }
    kits = new Kits({
      ...{ kitKey, self: 'logger-1', port, log: silentLog() },
      backends: [{ name: 'backend-1', id: 1, address: '127.0.0.2', port: 8080 }],
      auxiliaries: [{ name: 'auxlogger-1', address: '127.0.0.3' }],
    });
    kits.use(true);
    // Whoever is not reached yet is not told.
    await until('both to be reached', () => {
      kits.commit([idOf('reached')]);
      return heard.kit.length > 0 && heard.auxiliary.length > 0;
    });
  });
  after(async () => {
    kits?.close();
    for (const server of servers) await server.close();
  });

  test('is told to both if clients have it, and to kits alone if they never will', async () => {
    kits.commit([idOf('first')]);
    kits.abandon([idOf('second')]);
    kits.commit([idOf('third')]);
    await until('the last one', () => Object.values(heard).every(each => each.includes(idOf('third'))));
    const told = (name: keyof typeof heard): string[] => heard[name].filter(each => each !== idOf('reached'));
    assert.deepEqual(told('kit'), ['first', 'second', 'third'].map(idOf));
    assert.deepEqual(told('auxiliary'), ['first', 'third'].map(idOf));
  });
});
