import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { FrameError, FrameReader, frame, MAX_FRAME_BYTES } from '../src/frame.ts';

suite('frames', () => {
  test('come out as they went in, however the bytes are cut', () => {
    const message = fc.record({ header: fc.dictionary(fc.string(), fc.string()), body: fc.uint8Array() });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        (sent, cuts) => {
          const bytes = Buffer.concat(sent.flatMap(({ header, body }) => frame(header, body)));
          const reader = new FrameReader();
          const read = [];
          for (let at = 0; at < bytes.length; ) {
            const length = cuts.next().value as number;
            read.push(...reader.read(bytes.subarray(at, at + length)));
            at += length;
          }
          assert.deepEqual(
            read.map(({ header, body }) => [header, [...body]]),
            sent.map(({ header, body }) => [JSON.parse(JSON.stringify(header)), [...body]]),
          );
        },
      ),
    );
  });

  test('that are none are refused before anything is kept of them', () => {
    const prefixed = (length: number, header: number, text = '') => {
      const bytes = Buffer.alloc(8 + text.length);
      bytes.writeUInt32BE(length, 0);
      bytes.writeUInt32BE(header, 4);
      bytes.write(text, 8);
      return bytes;
    };
    for (const wrong of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      prefixed(MAX_FRAME_BYTES, 2),
      prefixed(4 + 2, 3, '{}'),
      prefixed(0, 0),
      prefixed(4 + 2, 2, '[]'),
      prefixed(4 + 3, 3, '{x}'),
      prefixed(4 + 4, 4, 'null'),
    ]) {
      assert.throws(() => [...new FrameReader().read(wrong)], FrameError, wrong.toString('latin1'));
    }
    assert.throws(() => frame({}, new Uint8Array(MAX_FRAME_BYTES)), FrameError);
  });
});
