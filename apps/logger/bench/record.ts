/** Times of a record, in µs: `node apps/logger/bench/record.ts`. On a machine that does nothing else. */
import { RecordPool } from '../src/http/record-pool.ts';
import { ResponseCheck } from '../src/http/response-check.ts';
import { RECORD_LIMIT, ResponseRecord } from '../src/http/response-record.ts';
import { time } from './time.ts';

const RING = 1 << 22;
const PACKET = 1_460;

const head = `HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 03 Mar 2026 10:00:00 GMT\r\nContent-Length: 100000\r\n\r\n`;
const ring = Buffer.alloc(RING, 'x');
ring.write(head);
const pool = new RecordPool(1 << 28);
let place = 0;
/** Another place of the ring, as for a real one. */
function next(length: number): number {
  place = place + length > RING - length ? 0 : place + length;
  return place;
}

const record = new ResponseRecord(pool);
time('a response of 1 kB: append, end, release', () => {
  const at = next(1024);
  record.append(0, ring, at, at + 1024);
  record.end(1024);
  record.release();
});
let offset = 0;
time('1 kB of a long response: append', () => {
  if (offset === RECORD_LIMIT) {
    record.release();
    offset = 0;
  }
  const at = next(1024);
  record.append(offset, ring, at, at + 1024);
  offset += 1024;
});
record.release();
for (let at = 0; at < RECORD_LIMIT; at += PACKET) record.append(at, ring, at, at + PACKET);
time('1 kB beyond the record: append', () => {
  record.append(RECORD_LIMIT, ring, 0, 1024);
});
time('begin a check', () => {
  if (new ResponseCheck(record).hasPassed) throw new Error('an empty record');
});
const check = new ResponseCheck(record);
let at = 0;
time(`compare ${PACKET} bytes`, () => {
  at = at + PACKET > RECORD_LIMIT ? 0 : at + PACKET;
  if (check.compare(at, ring, at, at + PACKET) >= 0) throw new Error('they differ');
});
