/** What a daemon that starts over makes of the kernel half's table, and of what waits in the ring. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ClientMode, type LogEvent, LogType, type Track, TrackTrait } from '../src/layout.generated.ts';
import { firstsOf, resumptionOf } from '../src/resumption.ts';

/** Close to where numbers wrap around. */
const R = 0xffff_ff00;
const S = 0xffff_fff0;
const u32 = (value: number) => value >>> 0;

/** A connection between two requests, all of it acknowledged. */
const track = (fields: Partial<Track> = {}) =>
  ({
    ...{ mss: 1460, traits: 0, clientMode: ClientMode.CLIENT_PASSES, endPasses: 0, unattended: 0 },
    ...{ clientEnded: 0, clientLogged: R, serverNext: S },
    ...{ requestAt: R, requestEnd: R, responseAt: S, responseEnd: S },
    ...fields,
  }) as Track;

function kind(fields: Partial<Track>, waiting: Parameters<typeof resumptionOf>[1] = {}): string {
  const found = resumptionOf(track(fields), waiting);
  return typeof found === 'string' ? 'nothing' : found.kind;
}

suite('a connection goes on', () => {
  test('between two requests', () => assert.equal(kind({}), 'idle'));

  test('when its next request waits in the ring', () => {
    const fields = { clientLogged: u32(R + 500), serverNext: u32(S + 70_000) };
    assert.equal(kind(fields, { client: R, server: S }), 'idle');
    assert.equal(kind(fields, { client: u32(R - 20), server: u32(S - 20) }), 'idle', 'with bytes before it');
    assert.equal(
      kind(fields, { client: u32(R + 1), server: S }),
      'nothing',
      'but not without its first byte',
    );
  });

  test('while it waits for an answer to a request that was read', () => {
    const fields = { clientLogged: u32(R + 500), requestEnd: u32(R + 500) };
    assert.equal(kind(fields), 'waiting');
    assert.equal(kind({ ...fields, serverNext: u32(S + 9) }, { server: S }), 'waiting');
    const head = resumptionOf(track({ ...fields, traits: TrackTrait.TRAIT_HEAD }), {});
    assert.equal(typeof head === 'object' && head.method, 'HEAD');
  });

  test('while its request is held and comes again: as new, but not if somebody may have run it', () => {
    const fields = {
      ...{ clientMode: ClientMode.CLIENT_HELD, clientLogged: u32(R + 500), requestEnd: u32(R + 500) },
    };
    assert.equal(kind({ ...fields, traits: TrackTrait.TRAIT_REPEATABLE }, { client: R }), 'idle');
    assert.equal(kind(fields, { client: R }), 'waiting');
    assert.equal(kind(fields), 'waiting');
    assert.equal(kind({ ...fields, requestEnd: R, clientLogged: R }, { client: R }), 'idle', 'it had rested');
  });

  test('in a response of known length', () => {
    const fields = {
      ...{ clientLogged: u32(R + 500), requestEnd: u32(R + 500) },
      ...{ serverNext: u32(S + 5000), responseEnd: u32(S + 100_000) },
    };
    const found = resumptionOf(track(fields), {});
    assert.ok(typeof found === 'object');
    assert.deepEqual([found.kind, found.serverKnown], ['answered', u32(S + 5000)]);
    assert.equal(kind({ ...fields, clientLogged: u32(R + 600) }, { client: u32(R + 500) }), 'answered');
    assert.equal(kind({ ...fields, responseEnd: S }), 'nothing', 'its end was not known');
    assert.equal(
      kind({ ...fields, clientLogged: u32(R + 600) }),
      'nothing',
      'part of the next request was read',
    );
  });
});

suite('nothing is left to go on with', () => {
  for (const [name, fields] of [
    ['in the middle of a request', { clientLogged: u32(R + 500) }],
    ['when something passed unlogged', { unattended: 1 }],
    ['when nobody followed it before', { clientMode: ClientMode.CLIENT_UNLOGGED }],
    ['when its server may end it', { endPasses: 1 }],
    ['when its client has ended it', { clientEnded: 1 }],
    ['when it was never told', { mss: 0 }],
  ] as const)
    test(name, () => assert.equal(kind(fields), 'nothing'));
});

test('of each direction the first byte that waits counts, but not what was kept from the client', () => {
  const event = (slot: number, type: number, sequence: number, payload = 1, held = 0) =>
    ({ slot, type, sequence: u32(sequence), payload, held }) as LogEvent;
  const { LOG_OPENED, LOG_CLIENT, LOG_SERVER } = LogType;
  const firsts = firstsOf([
    event(1, LOG_CLIENT, R + 10),
    event(1, LOG_CLIENT, R),
    event(1, LOG_SERVER, S + 5, 0),
    event(1, LOG_SERVER, S + 300, 9, 1),
    event(1, LOG_SERVER, S + 20),
    event(2, LOG_OPENED, 5, 0),
    event(2, LOG_CLIENT, 6),
  ]);
  assert.deepEqual(Object.fromEntries(firsts), {
    1: { client: R, server: u32(S + 20) },
    2: { isOpening: true, client: 6 },
  });
});
