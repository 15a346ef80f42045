import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type ControlRecord,
  connectionKey,
  MAX_RECORD_BYTES,
  MAX_SEGMENT_BYTES,
  RecordError,
  readRecords,
  tupleKey,
  writeRecord,
} from '../src/index.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const plain = { noNullPrototype: true };
const connection = fc.record({ client: u32, vip: u32, clientPort: u16, vipPort: u16, isn: u32 }, plain);
const entry = fc.record(
  {
    client: u32,
    vip: u32,
    clientPort: u16,
    vipPort: u16,
    isn: u32,
    p0: u32,
    delta: u32,
    backend: u16,
    owner: u16,
    createdMs: fc.integer({ min: 0, max: 2 ** 48 }),
  },
  plain,
);
const knowledge = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  entry.map(e => ({ kind: 'entry' as const, entry: e })),
  u16.map(holder => ({ kind: 'held' as const, holder })),
  fc.record({ kind: fc.constant('standing' as const), fenced: fc.boolean(), generation: u32 }, plain),
);
const record: fc.Arbitrary<ControlRecord> = fc.oneof(
  fc.record({ type: fc.constant('ask' as const), id: u32, claim: fc.boolean(), connection }, plain),
  fc.record(
    {
      type: fc.constant('segment' as const),
      connection,
      segment: fc.record(
        {
          sequence: u32,
          acknowledgement: u32,
          window: u16,
          fin: fc.boolean(),
          payload: fc.uint8Array({ maxLength: MAX_SEGMENT_BYTES }),
        },
        plain,
      ),
    },
    plain,
  ),
  fc.record(
    {
      type: fc.constant('store' as const),
      id: u32,
      connection,
      part: fc.record(
        {
          p0: u32,
          offer: fc.record(
            { mss: u16, windowScale: fc.integer({ min: 0, max: 15 }), sackPermitted: fc.boolean() },
            plain,
          ),
          offset: u16,
          payload: fc.uint8Array({ maxLength: MAX_SEGMENT_BYTES }),
        },
        plain,
      ),
    },
    plain,
  ),
  fc.record({ type: fc.constant('drop' as const), connection }, plain),
  fc.record(
    {
      type: fc.constantFrom('synced' as const, 'catchUp' as const, 'leave' as const),
      id: u32,
      generation: u32,
    },
    plain,
  ),
  fc.record({ type: fc.constant('fence' as const), id: u32, proxy: u16, epoch: u32 }, plain),
  fc.record({ type: fc.constant('standing' as const), id: u32 }, plain),
  fc.record(
    { type: fc.constant('join' as const), id: u32, generation: u32, told: fc.array(u16, { maxLength: 64 }) },
    plain,
  ),
  fc.record({ type: fc.constant('answer' as const), id: u32, knowledge }, plain),
  fc.record({ type: fc.constant('publish' as const), id: u32, entry }, plain),
  fc.record(
    {
      type: fc.constantFrom('release' as const, 'closing' as const, 'forget' as const),
      connection,
    },
    plain,
  ),
);

function encode(records: ControlRecord[]): Uint8Array {
  const bytes = new Uint8Array(records.length * MAX_RECORD_BYTES + 1);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const item of records) {
    const end = writeRecord(view, offset, item);
    assert.ok(end - offset <= MAX_RECORD_BYTES);
    offset = end;
  }
  return bytes.subarray(0, offset);
}

test('records survive the wire, any number of them in one datagram', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), records => {
      assert.deepEqual(readRecords(encode(records)), records);
    }),
  );
});

test('a datagram that is cut short is refused as a whole, wherever the cut', () => {
  fc.assert(
    fc.property(record, fc.nat(), (item, cut) => {
      const bytes = encode([item]);
      const length = 1 + (cut % (bytes.length - 1));
      if (length < bytes.length) assert.throws(() => readRecords(bytes.subarray(0, length)), RecordError);
    }),
  );
});

test('garbage never does more than throw a RecordError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        readRecords(bytes);
      } catch (error) {
        assert.ok(error instanceof RecordError);
      }
    }),
  );
});

test('the tuple names the connection only together with its ISN', () => {
  const one = { client: 1, vip: 2, clientPort: 3, vipPort: 4, isn: 5 };
  assert.equal(tupleKey(one), tupleKey({ ...one, isn: 6 } as typeof one));
  assert.notEqual(connectionKey(one), connectionKey({ ...one, isn: 6 }));
});
