import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../src/metrics.ts';

test('BPF counters become one counter with the label exit, read anew each time', async () => {
  const metrics = new Metrics('lb');
  const totals = { steered: 5, no_proxy: 0 };
  metrics.exits('packets_total', 'Packets.', { read: () => totals });
  assert.match(await metrics.text(), /^resplice_lb_packets_total\{exit="steered"\} 5$/m);
  totals.steered = 7;
  const text = await metrics.text();
  assert.match(text, /^# TYPE resplice_lb_packets_total counter$/m);
  assert.match(text, /^resplice_lb_packets_total\{exit="steered"\} 7$/m);
  assert.match(text, /^resplice_lb_packets_total\{exit="no_proxy"\} 0$/m);
});

test('the flat numbers are ours alone and carry labels as suffixes', async () => {
  const metrics = new Metrics('backend-agent');
  metrics.exits('packets_total', 'Packets.', { read: () => ({ never_seen: 0 }) });
  metrics.gauge('bindings', 'Bindings.', () => 3);
  metrics.counter('changes_total', 'Changes.').inc(2);
  assert.deepEqual(await metrics.numbers(), { 'packets_total.never_seen': 0, bindings: 3, changes_total: 2 });
  assert.match(await metrics.text(), /^resplice_backend_agent_bindings 3$/m);
});
