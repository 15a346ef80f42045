/**
 * Thousands of seeded random packets through every program of the tier (BPF_PROG_TEST_RUN). Whatever comes in, each takes one
 * counted exit, nothing to a VIP is left to the kernel, no exit is taken that never is, and no connection is touched.
 * FUZZ=n for more packets, SEED=n for others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BpfMap,
  type BpfObject,
  buildPacket,
  Counters,
  frame,
  loadObject,
  mapMemory,
  parseIp,
  RingBuffer,
  SELF_MADE_TOS,
  testRun,
  u32,
  Verdict,
} from '@resplice/dataplane';
import * as agent from '../../backend-agent/src/layout.generated.ts';
import * as lb from '../../lb/src/layout.generated.ts';
import * as logger from '../../logger/src/layout.generated.ts';
import { Tracks } from '../../logger/src/tracks.ts';
import { SpliceFlag } from '../src/layout.generated.ts';
import { BACKEND, CLIENT, CONNECTION, KernelHalf, SELF, SPLICE, VIP } from './fixtures/kernel-half.ts';

const PACKETS = Number(process.env.FUZZ ?? 4000);
const SEED = Number(process.env.SEED ?? 20_261_124);
const objectOf = (app: string, name: string) =>
  new URL(`../../${app}/bpf/${name}.bpf.o`, import.meta.url).pathname;

/** mulberry32: the same seed, the same packets. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return below => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  };
}

type Random = ReturnType<typeof generator>;

const pick = <T>(random: Random, values: readonly T[]): T => values[random(values.length)]!;

function bytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

const ADDRESSES = [
  CLIENT,
  VIP,
  BACKEND,
  SELF,
  0,
  0xffffffff,
  parseIp('127.0.0.1'),
  parseIp('224.0.0.1'),
  CLIENT + 9,
];

const ANSWER = { src: VIP, dst: CLIENT, sport: 80, dport: 40_000, ack: 1, flags: 16, window: 9 };

/** A packet that is nearly right: what gets deepest into a program. */
function nearlyRight(random: Random): Uint8Array {
  const packet = buildPacket({
    src: random(2) ? CLIENT : pick(random, ADDRESSES),
    dst: random(6) > 0 ? VIP : pick(random, ADDRESSES),
    sport: random(2) ? 40_000 : pick(random, [8080, 80, 0, random(65_536)]),
    dport: random(6) > 0 ? 80 : pick(random, [8080, 40_000, 0, random(65_536)]),
    seq: random(2) ? random(0x1_0000_0000) : 1000 + random(2000),
    ack: random(2) ? random(0x1_0000_0000) : 78 + random(2000),
    flags: random(2) ? pick(random, [2, 16, 24, 17, 4]) : random(64),
    window: random(65_536),
    options: bytes(random, 4 * random(11)),
    payload: bytes(random, pick(random, [0, 0, 1, random(1400)])),
  });
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  switch (random(16)) {
    case 0: // lengths that lie
      view.setUint16(2, random(65_536));
      break;
    case 1:
      packet[32] = random(256);
      break;
    case 2: // fragments
      view.setUint16(6, random(65_536));
      break;
    case 3: // versions, header lengths, protocols
      packet[pick(random, [0, 9])] = random(256);
      break;
    case 4: // checksums
      view.setUint16(pick(random, [10, 36]), random(65_536));
      break;
    case 5: // cut off
      return packet.slice(0, random(packet.length));
    case 6: // any byte
      packet[random(packet.length)] = random(256);
      break;
    case 7: // ICMP that quotes an answer of the connection, more or less
    case 8:
      if (packet.length < 68) break;
      packet[9] = 1;
      packet.set([3, 4], 20);
      packet.set(buildPacket({ ...ANSWER, seq: random(5000) }).subarray(0, 28), 28);
      if (random(3) === 0) packet[28 + random(28)] = random(256);
      break;
  }
  return packet;
}

/** Makes an answer of it, if it is whole enough. */
function turn(packet: Uint8Array): void {
  if (packet.length < 24) return;
  packet.set([...packet.subarray(16, 20), ...packet.subarray(12, 16)], 12);
  packet.set([...packet.subarray(22, 24), ...packet.subarray(20, 22)], 20);
}

function anyFrame(random: Random, shape: Subject['shape']): Uint8Array {
  const packet = random(5) === 0 ? bytes(random, random(300)) : nearlyRight(random);
  // The kernel runs no program on less than an IP header.
  const padded = new Uint8Array(Math.max(packet.length, random(30) === 0 ? 60 : 20));
  padded.set(packet);
  shape?.(padded);
  return frame(padded, padded.length >= 60 && random(20) === 0 ? random(65_536) : undefined);
}

/** Whether the frame is an IPv4 packet for the VIP, and for this station. */
function isForVip(packet: Uint8Array): boolean {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  return packet.length >= 34 && view.getUint16(12) === 0x0800 && view.getUint32(30) === VIP;
}

interface Subject {
  program: string;
  object: BpfObject;
  counters: Counters;
  /** Whether a packet for the VIP may be left to the kernel. */
  leavesVip: boolean;
  /** Whether a packet may be sent on to a back end as a connection's. */
  passes(packet: Uint8Array): boolean;
  /** What makes a client's packet one that this program meets. */
  shape?(packet: Uint8Array): void;
  drain(): void;
  /** The exits that matter: packets of both kinds must have got that far. */
  deep: readonly string[];
  close(): void;
}

function subjects(): Subject[] {
  const half = new KernelHalf(1 << 20);
  const { SPLICE_ANCHORED, SPLICE_CLOSED } = SpliceFlag;
  const acked = 4_000_000;
  half.splices.set(CONNECTION, { ...SPLICE, flags: SPLICE_ANCHORED, acked, windowEnd: acked + 64_000 });
  const of = (app: string, name: string, exits: readonly string[]) => {
    const object = loadObject(objectOf(app, name));
    return { object, counters: new Counters(object.map('counters'), exits), drain: () => {} };
  };
  const balancer = of('lb', 'lb', lb.lbExitNames);
  const inPath = loggerHalf();
  const server = of('backend-agent', 'agent', agent.agentExitNames);
  for (const { object } of [balancer, inPath]) {
    const listeners = new BpfMap(object.map('listeners'), lb.listenerKey, u32);
    for (const port of [0, 80]) listeners.set({ vip: VIP, port }, 1);
    new BpfMap(object.map('next_hops'), u32, lb.nextHop).set(0, {
      address: parseIp('127.0.0.1'),
      ifindex: 1,
    });
  }
  agent.agentConfig.write(new DataView(mapMemory(server.object.map('agent_config'))), 0, {
    identityKey: { k0: 1n, k1: 2n },
    address: BACKEND,
  });
  // As a segment, or as an ICMP message about one.
  const isConnection = (packet: Uint8Array) => {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    if (view.getUint8(23) === 1) return view.getUint32(58) === CLIENT && view.getUint16(64) === 40_000;
    return view.getUint32(26) === CLIENT && view.getUint16(34) === 40_000;
  };
  const front = { object: half.object, counters: half.counters, drain: () => void half.events() };
  const never = () => false;
  return [
    {
      ...balancer,
      program: 'lb_wan',
      deep: ['steered', 'path_mtu', 'refused', 'malformed', 'bogus_source'],
      leavesVip: false,
      passes: never,
      close: () => balancer.object.close(),
    },
    {
      ...front,
      program: 'proxy_front',
      deep: ['front_spliced', 'front_to_user', 'front_syn_answered', 'front_path_mtu', 'front_malformed'],
      leavesVip: false,
      passes: isConnection,
      close: () => {
        const { flags, acked: after } = half.splices.get(CONNECTION)!;
        assert.deepEqual([flags & SPLICE_CLOSED, after], [0, acked], 'the connection lives on, where it was');
      },
    },
    {
      ...front,
      program: 'proxy_back',
      deep: ['back_passed', 'back_to_vip', 'back_untranslated', 'back_malformed'],
      leavesVip: false,
      passes: never,
      close: () => half.close(),
    },
    {
      ...inPath,
      program: 'logger_middle',
      deep: ['middle_plain', 'middle_logged', 'middle_repeated', 'middle_held'],
      leavesVip: true,
      passes: never,
      close: () => {},
    },
    {
      ...inPath,
      program: 'logger_back',
      deep: [
        ...['back_steered', 'back_plain', 'back_malformed', 'back_unlogged', 'back_diverted', 'back_ended'],
        'back_former',
      ],
      leavesVip: true,
      passes: never,
      shape: turn,
      close: () => {},
    },
    {
      ...inPath,
      program: 'logger_out',
      deep: ['out_steered', 'out_plain'],
      leavesVip: true,
      passes: never,
      shape(packet) {
        turn(packet);
        packet[1] = SELF_MADE_TOS;
      },
      close: () => inPath.close(),
    },
    {
      ...server,
      program: 'agent_in',
      deep: ['in_plain', 'in_malformed'],
      leavesVip: true,
      passes: never,
      close: () => {},
    },
    {
      ...server,
      program: 'agent_out',
      deep: ['out_plain'],
      leavesVip: true,
      passes: never,
      close: () => server.object.close(),
    },
  ];
}

/**
 * The logger with four connections of the client's: one that passes, one that has left the back end which its packets are addressed
 * to, one that is moving, one whose back end is another station. What proxies send is addressed to the VIP here as well, since most
 * of the packets are.
 */
function loggerHalf() {
  const slots = 4;
  const object = loadObject(objectOf('logger', 'logger'), {
    maxEntries: { tracks: slots, free_slots: slots, flows: 64, events: 1 << 20 },
  });
  const handle = object.map('tracks');
  const tracks = new Tracks(handle);
  const memory = new DataView(mapMemory(handle));
  const flows = new BpfMap(object.map('flows'), logger.flowKey, logger.flow);
  const mac = [2, 0, 0, 0, 0, 1];
  const ports = [40_000, 80, 8080, 0];
  const identity = { client: CLIENT, vip: VIP, vipPort: 80, generation: 1, isn: 1000, p0: 77 };
  const { CLIENT_HELD, CLIENT_PASSES } = logger.ClientMode;
  const { SERVER_DIVERTED, SERVER_PASSES } = logger.ServerMode;
  for (const [slot, clientPort] of ports.entries()) {
    logger.track.write(memory, slot * logger.track.size, {
      ...tracks.read(slot),
      ...{
        ...identity,
        clientPort,
        backend: slot === 1 ? BACKEND + 1 : BACKEND,
        backendPort: 8080,
        bound: 1,
      },
      ...{ clientLogged: 1001, serverAcked: 1001, told: 1001, requestAt: 1001, responseAt: 78 },
      ...{ clientAck: 78, serverNext: 78, serverLogged: 78, serverSeen: 78, delta: slot === 1 ? 999 : 0 },
      mac: slot === 3 ? [2, 0, 0, 0, 0, 2] : mac,
      clientMode: slot === 2 ? CLIENT_HELD : CLIENT_PASSES,
      serverMode: slot === 2 ? SERVER_DIVERTED : SERVER_PASSES,
    });
    for (const [peer, peerPort] of [
      [VIP, 80],
      [BACKEND, 8080],
    ] as const)
      flows.set(
        { client: CLIENT, clientPort, peer, peerPort },
        { slot, delta: 0, mac, known: 1, formerDelta: 0, cameBack: 0 },
      );
  }
  const ring = new RingBuffer(object.map('events'));
  return {
    object,
    counters: new Counters(object.map('counters'), logger.loggerExitNames),
    drain: () => void ring.drain(() => {}),
    close() {
      for (const [slot, clientPort] of ports.entries()) {
        const { generation, isn, p0, ...after } = tracks.read(slot);
        assert.deepEqual(
          { generation, isn, p0, clientPort: after.clientPort },
          {
            ...{ generation: 1, isn: 1000, p0: 77 },
            clientPort,
          },
        );
      }
      ring.close();
      object.close();
    },
  };
}

const total = (counters: Counters): number =>
  Object.values(counters.read()).reduce((sum, each) => sum + each, 0);

test(`${PACKETS} random packets through each program, seed ${SEED}`, t => {
  for (const { program, object, counters, deep, leavesVip, passes, shape, drain, close } of subjects()) {
    const random = generator(SEED);
    const before = total(counters);
    for (let i = 0; i < PACKETS; i++) {
      const sent = anyFrame(random, shape);
      const { verdict, packet } = testRun(object.program(program), sent);
      const what = () => `${program}, packet ${i} of seed ${SEED}: ${Buffer.from(sent).toString('hex')}`;
      assert.ok([Verdict.OK, Verdict.SHOT, Verdict.REDIRECT].includes(verdict as 0), what());
      if (!leavesVip && verdict === Verdict.OK) {
        assert.ok(!isForVip(packet), what());
        if (isForVip(sent)) assert.ok(passes(sent), what());
      }
      if (i % 64 === 0) drain();
    }
    const read = counters.read();
    const never = Object.entries(read).filter(([name, count]) => name.includes('never') && count > 0);
    assert.deepEqual(never, [], program);
    const taken = Object.entries(read).filter(([, count]) => count > 0);
    t.diagnostic(`${program}: ${taken.map(([name, count]) => `${name} ${count}`).join(', ')}`);
    for (const name of deep) assert.ok(read[name]! > 0, `${program}: no packet got as far as ${name}`);
    assert.equal(total(counters) - before, PACKETS, 'one exit for each packet');
    close();
  }
});
