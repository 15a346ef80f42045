import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { ControlRecord } from '@resplice/protocol';
import type { Backend } from '@resplice/splice';
import { Authority } from '../src/authority.ts';
import type { Datapath } from '../src/datapath.ts';
import type { FlowKey, Track } from '../src/layout.generated.ts';

const LOGGER = 201;
const tuple = { client: 0x0a3d0002, vip: 0x0a3c0001, clientPort: 40_000, vipPort: 80 };
const backend = { id: 7, address: 0x0a40000b, port: 8080 } as Backend;
const track = {
  ...tuple,
  ...{ isn: 1000, p0: 2000, delta: 0xffff_fff0, bound: 1 },
  ...{ backend: backend.address, backendPort: backend.port },
} as Track;

/** The logger's word on a connection of which its kernel half has that track. */
function knows(held: Track | undefined, ...backends: Backend[]): Authority {
  const key: FlowKey = {
    client: tuple.client,
    clientPort: tuple.clientPort,
    peer: tuple.vip,
    peerPort: tuple.vipPort,
  };
  const datapath = {
    flows: {
      get: (asked: FlowKey) =>
        held && Object.entries(key).every(([name, value]) => asked[name as keyof FlowKey] === value)
          ? { slot: 3 }
          : undefined,
    },
    tracks: { isBound: () => held?.bound === 1, read: () => held },
  };
  return new Authority(datapath as unknown as Datapath, { all: backends }, LOGGER);
}

const ask = (fields: Partial<typeof tuple & { isn: number }> = {}, claim = false): ControlRecord => ({
  ...{ type: 'ask', id: 1, claim },
  connection: { ...tuple, isn: 0, ...fields },
});

suite("a proxy asks for a splice that its peers don't have", () => {
  test('the logger knows it from what has passed', () => {
    const known = knows(track, backend).answer(ask());
    assert.ok(known?.kind === 'entry');
    const { createdMs, ...entry } = known.entry;
    assert.deepEqual(entry, {
      ...tuple,
      ...{ isn: 1000, p0: 2000, delta: 0xffff_fff0, backend: 7, owner: LOGGER },
    });
    assert.ok(Math.abs(createdMs - Date.now()) < 1000);
  });

  for (const [what, authority, record] of [
    ['nothing has passed', knows(undefined, backend), ask()],
    ['other addresses', knows(track, backend), ask({ clientPort: 40_001 })],
    ['no byte has bound it yet', knows({ ...track, bound: 0 }, backend), ask()],
    ['its slot is of another connection by now', knows({ ...track, clientPort: 1 }, backend), ask()],
    ['its back end is no longer configured', knows(track), ask()],
    ['the port is used again', knows(track, backend), ask({ isn: 1001 }, true)],
  ] as const)
    test(`${what}: it does not know it`, () => {
      assert.deepEqual(authority.answer(record), { kind: 'none' });
    });

  test('who sets that very connection up is told', () => {
    assert.equal(knows(track, backend).answer(ask({ isn: 1000 }, true))?.kind, 'entry');
  });

  test('what is no question about a connection is not answered', () => {
    assert.equal(knows(track, backend).answer({ type: 'standing', id: 1 }), undefined);
  });
});
