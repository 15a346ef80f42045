/** What other programs print, read. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseLatencies, parseTransfers } from '../src/measurements.ts';
import { busySeconds, withProcessorTime } from '../src/processor-time.ts';
import { parseWrk } from '../src/wrk.ts';

const report = `Running 4s test @ http://10.60.0.1/small
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.33ms    2.61ms  41.50ms   90.11%
    Req/Sec    52.73k     1.39k   55.28k    82.50%
  210921 requests in 4.00s, 250.41MB read
Requests/sec:  52730.41
Transfer/sec:     62.60MB
`;

suite("wrk's report", () => {
  test('of a run without errors', () => {
    assert.deepEqual(parseWrk(report), { requests: 210_921, requestsPerSecond: 52_730.41, errors: 0 });
  });

  test('errors of all kinds are added up', () => {
    const errors =
      '  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n';
    const text = report.replace('Requests/sec', `${errors}Requests/sec`);
    assert.equal(parseWrk(text).errors, 54_321);
  });

  test('anything else is an error that shows it', () => {
    assert.throws(() => parseWrk('unable to connect'), /cannot be read:\nunable to connect/);
  });
});

suite("curl's figures", () => {
  test('parallel transfers take as long as the slowest', () => {
    assert.equal(parseTransfers('100 0.25\n100 0.75\n100 0.5\n', 300), 0.75);
  });

  test('missing bytes are an error, not a fast download', () => {
    assert.throws(() => parseTransfers('100 0.25\n60 0.1\n', 200), /160 bytes have come, not 200/);
    assert.throws(() => parseTransfers('', 200));
  });

  test('latencies leave out the request that opened the connection', () => {
    assert.deepEqual(
      parseLatencies('0.004000\n0.000120\n0.000110\n').map(each => Math.round(each)),
      [120, 110],
    );
    assert.throws(() => parseLatencies('0.1\nnonsense\n'), /cannot be read/);
  });
});

suite('processor time', () => {
  const stat = 'cpu  100 20 300 5000 60 7 8 900 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n';

  test('counts work and interrupts, not idleness, disks or stolen time', () => {
    assert.equal(busySeconds(stat), (100 + 20 + 300 + 7 + 8) / 100);
    assert.throws(() => busySeconds('intr 1 2 3\n'), /no line/);
  });

  test('of some work is what this machine has worked meanwhile', async () => {
    const { result, seconds, cpuSeconds } = await withProcessorTime(0, async () => {
      for (const end = performance.now() + 300; performance.now() < end; );
      return 'done';
    });
    assert.equal(result, 'done');
    assert.ok(seconds >= 0.3);
    // Ticks are of 10 ms, and others may work too, but a busy machine may also give us half of a core.
    assert.ok(cpuSeconds > 0.05, String(cpuSeconds));
    const { cpuSeconds: corrected } = await withProcessorTime(1000, async () => {
      for (const end = performance.now() + 50; performance.now() < end; );
    });
    assert.ok(corrected < 0, 'more was subtracted than was worked');
  });
});
