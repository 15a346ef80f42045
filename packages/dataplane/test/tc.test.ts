import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import {
  attachTc,
  type BpfObject,
  buildPacket,
  Counters,
  detachTc,
  ifindex,
  mtuOf,
  neighbours,
  parseIp,
  RawSender,
  RingBuffer,
  TcpFlags,
} from '../src/index.ts';
import { enterNamespace, ip, loadSample, until } from './fixture.ts';
import { sampleCounterNames, sampleEvent, sampleEventOffsets } from './layout.generated.ts';

const segment = {
  src: parseIp('10.61.0.2'),
  dst: parseIp('10.99.0.2'),
  sport: 40000,
  dport: 80,
  seq: 1,
  ack: 0,
  flags: TcpFlags.SYN,
  window: 65535,
};
const ETHERNET = 14;

const packetsSeen = (object: BpfObject) =>
  new Counters(object.map('counters'), sampleCounterNames).read().packets!;
const filters = (device: string, direction: string) =>
  execFileSync('tc', ['filter', 'show', 'dev', device, direction], { encoding: 'utf8' });

test('a device is found by each of its names, and so are its neighbours', t => {
  enterNamespace(t);
  ip('link property add dev left altname front0');
  assert.equal(ifindex('front0'), ifindex('left'));
  const known = [['10.99.0.2', [2, 0, 0, 0, 0, 2]]];
  assert.deepEqual([...neighbours('left')], known);
  assert.deepEqual([...neighbours('front0')], known);
  assert.deepEqual([...neighbours('nothing0')], []);
});

test("a device's MTU is read where the thread is", t => {
  enterNamespace(t);
  assert.equal(mtuOf('left'), 1500);
  ip('link set left mtu 1300');
  assert.equal(mtuOf('left'), 1300);
  assert.throws(() => mtuOf('nowhere'), /cannot read the MTU of device 'nowhere'.*ENODEV/);
});

test('packets that are sent raw arrive at the other end of the cable, each as it was', async t => {
  enterNamespace(t);
  const object = loadSample(t);
  attachTc('right', 'ingress', object.program('sample_record'));
  const ring = new RingBuffer(object.map('events'));
  t.after(() => ring.close());
  const sender = new RawSender();
  t.after(() => sender.close());
  const lengths = [0, 1, 536, 1460].map(payload => payload + 40);
  for (const length of lengths) {
    sender.queue(buildPacket({ ...segment, payload: new Uint8Array(length - 40).fill(0xab) }));
  }
  assert.equal(sender.flush(), 4);
  assert.equal(sender.flush(), 0);
  const seen: number[] = [];
  await until('four packets', () => {
    ring.drain((view, offset) => {
      // IPv6 is alive on a fresh device, too.
      if (view.getUint16(offset + sampleEvent.size + 12) !== 0x0800) return;
      seen.push(view.getUint32(offset + sampleEventOffsets.length, true) - ETHERNET);
    });
    return seen.length === 4;
  });
  assert.deepEqual(seen, lengths);
  assert.deepEqual(sender.errors, {});
});

test('more packets than fit in a batch, and packets larger than usual, are sent in order', async t => {
  enterNamespace(t);
  ip('link set left mtu 65535');
  ip('link set right mtu 65535');
  const object = loadSample(t);
  attachTc('right', 'ingress', object.program('sample_record'));
  const ring = new RingBuffer(object.map('events'));
  t.after(() => ring.close());
  const sender = new RawSender();
  t.after(() => sender.close());
  const buffer = new Uint8Array(65535);
  const expected: number[] = [];
  for (let i = 0; i < 300; i++) {
    const payload = new Uint8Array(i % 50 === 0 ? 65495 : i);
    const packet = buildPacket({ ...segment, payload, into: buffer });
    sender.queue(buffer, packet.length);
    buffer.fill(0xff, 0, packet.length);
    expected.push(packet.length);
  }
  sender.flush();
  assert.equal(sender.sent, 300);
  const seen: number[] = [];
  await until('300 packets', () => {
    ring.drain((view, offset) => {
      if (view.getUint16(offset + sampleEvent.size + 12) !== 0x0800) return;
      seen.push(view.getUint32(offset + sampleEventOffsets.length, true) - ETHERNET);
    });
    return seen.length >= 300;
  });
  assert.deepEqual(seen, expected);
});

test('what the network refuses is counted and holds nothing up', t => {
  enterNamespace(t);
  const sender = new RawSender();
  t.after(() => sender.close());
  const nowhere = buildPacket({ ...segment, dst: parseIp('10.98.0.1') });
  const large = buildPacket({ ...segment, payload: new Uint8Array(3000) });
  for (const packet of [nowhere, buildPacket(segment), large, nowhere, buildPacket(segment)])
    sender.queue(packet);
  assert.equal(sender.flush(), 2);
  assert.deepEqual(sender.errors, { ENETUNREACH: 2, EMSGSIZE: 1 });
  ip('link set left down');
  sender.queue(buildPacket(segment));
  assert.equal(sender.flush(), 0);
  assert.equal(sender.sent, 2);
});

test('what is no packet is refused, and so is a closed sender', t => {
  enterNamespace(t);
  const sender = new RawSender();
  assert.throws(() => sender.queue(new Uint8Array(19)), /19 bytes of 19/);
  assert.throws(() => sender.queue(new Uint8Array(40), 41), /41 bytes of 40/);
  assert.throws(() => sender.queue(new Uint8Array(70_000)), /70000 bytes/);
  sender.close();
  sender.close();
  sender.queue(buildPacket(segment));
  assert.throws(() => sender.flush(), /closed/);
});

test('attaching again replaces the program, in one place per direction', async t => {
  enterNamespace(t);
  const first = loadSample(t);
  const second = loadSample(t);
  attachTc('left', 'egress', first.program('sample_record'));
  attachTc('left', 'ingress', first.program('sample_drop'));
  attachTc('left', 'egress', second.program('sample_record'));
  const egress = filters('left', 'egress');
  assert.equal(egress.match(/sample_record:/g)?.length, 1, egress);
  assert.ok(egress.includes(`tag ${second.program('sample_record').tag}`), egress);
  assert.match(filters('left', 'ingress'), /sample_drop/);
  const before = packetsSeen(first);
  const sender = new RawSender();
  t.after(() => sender.close());
  sender.queue(buildPacket(segment));
  sender.flush();
  assert.ok(packetsSeen(second) >= 1);
  assert.equal(packetsSeen(first), before);
});

test('a replacement misses no packet', t => {
  enterNamespace(t);
  const objects = [loadSample(t), loadSample(t)];
  const sender = new RawSender();
  t.after(() => sender.close());
  // Only what this test sends is to be counted.
  execFileSync('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
  attachTc('left', 'egress', objects[0]!.program('sample_record'));
  const before = objects.map(packetsSeen).reduce((a, b) => a + b);
  for (let round = 1; round <= 50; round++) {
    for (let i = 0; i < 10; i++) sender.queue(buildPacket(segment));
    sender.flush();
    attachTc('left', 'egress', objects[round % 2]!.program('sample_record'));
  }
  assert.equal(objects.map(packetsSeen).reduce((a, b) => a + b) - before, 500);
});

test('detaching removes ours and nothing else, and may be done twice', t => {
  enterNamespace(t);
  const object = loadSample(t);
  detachTc('left');
  attachTc('left', 'egress', object.program('sample_record'));
  attachTc('left', 'ingress', object.program('sample_record'));
  // Somebody else's: classic BPF that matches nothing.
  const other = 'filter add dev left egress prio 9 bpf bytecode'.split(' ');
  execFileSync('tc', [...other, '1,6 0 0 0']);
  detachTc('left', 'ingress');
  assert.equal(filters('left', 'ingress'), '');
  assert.match(filters('left', 'egress'), /sample_record/);
  detachTc('left');
  detachTc('left');
  assert.doesNotMatch(filters('left', 'egress'), /sample_record/);
  assert.match(filters('left', 'egress'), /pref 9 bpf/);
});

test('a device that does not exist is named', t => {
  enterNamespace(t);
  const object = loadSample(t);
  assert.throws(
    () => attachTc('middle0', 'egress', object.program('sample_drop')),
    /no network device 'middle0'/,
  );
  assert.throws(() => detachTc('middle0'), /no network device 'middle0'/);
  assert.equal(ifindex('lo'), 1);
});
