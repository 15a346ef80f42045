import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { between, readingIn } from '../src/logger.ts';

const page = `# HELP process_cpu_user_seconds_total u
# TYPE process_cpu_user_seconds_total counter
process_cpu_user_seconds_total 1.5
# HELP process_cpu_system_seconds_total s
# TYPE process_cpu_system_seconds_total counter
process_cpu_system_seconds_total 0.25
# HELP process_resident_memory_bytes r
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1000
# HELP resplice_front_connections c
# TYPE resplice_front_connections gauge
resplice_front_connections 12
# HELP resplice_front_packets_total p
# TYPE resplice_front_packets_total counter
resplice_front_packets_total{exit="middle_logged"} 99
resplice_front_packets_total{exit="middle_ring_full"} 1
resplice_front_packets_total{exit="back_ring_full"} 2
resplice_front_packets_total{exit="middle_no_room"} 10
resplice_front_packets_total{exit="middle_unattended"} 20
resplice_front_packets_total{exit="back_unattended"} 40
# HELP resplice_front_events_total e
# TYPE resplice_front_events_total counter
resplice_front_events_total{event="transactions"} 7
resplice_front_events_total{event="unprotected"} 100
resplice_front_events_total{event="requests_too_long"} 200
resplice_front_events_total{event="evicted"} 400
`;

suite("the logger's metrics", () => {
  test('losses of both directions, and everything that passed unprotected, are added up', () => {
    assert.deepEqual(readingIn(page), {
      transactions: 7,
      connections: 12,
      drops: 3,
      unprotected: 770,
      userSeconds: 1.5,
      systemSeconds: 0.25,
      residentBytes: 1000,
    });
  });

  test('what is not there is an error, not 0', () => {
    const without = page.replace('middle_ring_full', 'another_exit');
    assert.throws(() => readingIn(without), /no resplice_front_packets_total of middle_ring_full/);
    assert.throws(
      () => readingIn(page.replaceAll('process_cpu_user', 'process_cpu_other')),
      /process_cpu_user/,
    );
  });

  test('of two readings, counts are those between them', () => {
    const before = readingIn(page);
    const after = { ...before, transactions: 10, userSeconds: 2, drops: 4, residentBytes: 5000 };
    assert.deepEqual(between(before, after), {
      transactions: 3,
      connections: 12,
      drops: 1,
      unprotected: 0,
      userSeconds: 0.5,
      systemSeconds: 0,
      residentBytes: 5000,
    });
  });
});
