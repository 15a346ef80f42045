/** What the emulator can carry, by the processor time that its thread needs: others may use the machine meanwhile. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { Pair } from './fixtures/station.ts';

/** Packets for a second of the thread's time. */
const LEAST = 40_000;
const BYTES = 150_000_000;
const TICKS_PER_SECOND = 100;

/** Processor seconds of this process's threads, user and system, by thread. */
function threadSeconds(): Map<string, number> {
  const times = readdirSync('/proc/self/task').map((thread): [string, number] => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [thread, (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND];
  });
  return new Map(times);
}

suite('the emulator', { timeout: 120_000 }, () => {
  let pair: Pair;
  before(async () => {
    pair = await Pair.make();
  });
  after(() => pair?.remove());

  test(`carries ${LEAST} packets of full size, and their acknowledgements, for a second of its thread's time`, async t => {
    // The stations' threads first, so that the one that is new then is the emulator's.
    await pair.link({ shape: {}, emulator: 'tap' });
    const known = threadSeconds();
    await pair.link({ shape: { delay: 1 }, emulator: 'tap' });
    const ms = await pair.near.pour(pair.far, BYTES);
    const own = [...threadSeconds()].filter(([thread]) => !known.has(thread)).map(([, seconds]) => seconds);
    const busy = Math.max(...own);
    const { there, back } = await pair.counters();
    const packets = there.delivered + back.delivered;
    t.diagnostic(
      `${((BYTES * 8) / ms / 1000).toFixed(0)} Mbit/s, ${(packets / ms).toFixed(1)} packets/ms, ${(packets / busy).toFixed(0)} packets for a second of ${busy.toFixed(2)}`,
    );
    assert.equal(there.droppedByQueue, 0);
    assert.ok(there.delivered >= BYTES / 1448);
    assert.ok(packets / busy >= LEAST, `${packets / busy}`);
  });
});
