import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LogEvent, logEvent } from '../src/layout.generated.ts';
import { LogRecord } from '../src/log-record.ts';

test('what is read in place is what the generated layout reads', () => {
  const bytes = Uint8Array.from({ length: 8 + logEvent.size }, (_, i) => (i * 37 + 5) & 0xff);
  const view = new DataView(bytes.buffer);
  const expected = logEvent.read(view, 8);
  const record = new LogRecord();
  record.read(view, 8);
  for (const field of Object.keys(expected) as (keyof LogEvent)[])
    assert.deepEqual(record[field], expected[field], field);
});
