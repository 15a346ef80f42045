import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import {
  add,
  BpfMap,
  type BpfObject,
  buildPacket,
  Counters,
  encodeOptions,
  formatIp,
  frame,
  hasValidChecksums,
  identityMac,
  loadObject,
  mapMemory,
  orderOf,
  parseIp,
  parsePacket,
  sub,
  TcpFlags,
  testRun,
  u32,
  unframe,
  Verdict,
} from '@resplice/dataplane';
import { until } from '@resplice/service-kit/testing';
import fc from 'fast-check';
import * as layout from '../src/layout.generated.ts';

const { ACK, FIN, PSH, RST, SYN } = TcpFlags;
const OBJECT = new URL('../bpf/agent.bpf.o', import.meta.url).pathname;
const CLIENT = parseIp('10.61.0.2');
const VIP = parseIp('10.60.0.1');
const SELF = parseIp('10.64.0.11');
const PROXY = parseIp('10.63.0.11');
const KEY = Uint8Array.from({ length: 16 }, (_, i) => i * 3);
const ISN = 1000;
const P0 = 0xfffffff0; // client space wraps around soon
const S0 = 5_000_000;

let object: BpfObject;
let bindings: BpfMap<layout.BindingKey, layout.Binding>;
let counters: Counters;

beforeEach(() => {
  object = loadObject(OBJECT, { maxEntries: { bindings: 1024 } });
  bindings = new BpfMap(object.map('bindings'), layout.bindingKey, layout.binding);
  counters = new Counters(object.map('counters'), layout.agentExitNames);
  const key = new DataView(KEY.buffer);
  layout.agentConfig.write(new DataView(mapMemory(object.map('agent_config'))), 0, {
    identityKey: { k0: key.getBigUint64(0, true), k1: key.getBigUint64(8, true) },
    address: SELF,
  });
  const proxies = new BpfMap(object.map('proxies'), u32, networkAddress);
  proxies.set(1, PROXY);
});

afterEach(() => object.close());

const networkAddress = {
  size: 4,
  read: (view: DataView, offset: number) => view.getUint32(offset),
  write: (view: DataView, offset: number, value: number) => view.setUint32(offset, value),
};

const PORTS = { sport: 40_000, dport: 8080 };
const BINDING: layout.BindingKey = { client: CLIENT, clientPort: 40_000, localPort: 8080 };

interface Forgery {
  isn?: number;
  p0?: number;
  proxyId?: number;
  /** What the connection was when it was new; what it is if absent. */
  moved?: { isn: number; p0: number; start: number };
  windowScale?: number | undefined;
  key?: Uint8Array;
  vipPort?: number;
  owed?: number;
  /** Both ends of the connection to the back end, in place of CLIENT and SELF. */
  ends?: { src: number; dst: number; sport: number; dport: number };
  /** Changes the packet after the MAC was made. */
  change?: (packet: { seq: number; ack: number; src: number; urgent: number }) => void;
}

function syn(forgery: Forgery = {}): Uint8Array {
  const { isn = ISN, p0 = P0, proxyId = 1, key = KEY, vipPort = 80, owed = 0, moved, change } = forgery;
  const ends = forgery.ends ?? { src: CLIENT, dst: SELF, ...PORTS };
  const windowScale = 'windowScale' in forgery ? forgery.windowScale : 9;
  const its = {
    ...{ proxyId, originalIsn: moved?.isn ?? isn, originalP0: moved?.p0 ?? p0 },
    ...{ vip: VIP, vipPort, order: orderOf(moved?.start) },
  };
  const mac = identityMac(key, {
    ...its,
    clientIp: ends.src,
    backendIp: ends.dst,
    clientPort: ends.sport,
    backendPort: ends.dport,
    synIsn: isn,
    p0,
    owed,
  });
  const identity = { ...its, mac };
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale, identity });
  const packet = { ...ends, seq: isn, ack: p0, flags: SYN, window: 65_535, urgent: owed, options };
  change?.(packet);
  return frame(buildPacket(packet));
}

function answer(fields: {
  flags: number;
  seq: number;
  ack?: number;
  payload?: Uint8Array;
  windowScale?: number;
  window?: number;
}) {
  const options =
    fields.flags & SYN
      ? encodeOptions({ mss: 1460, sackPermitted: true, windowScale: fields.windowScale ?? 7 })
      : undefined;
  return frame(
    buildPacket({
      src: SELF,
      dst: CLIENT,
      sport: 8080,
      dport: 40_000,
      seq: fields.seq,
      ack: fields.ack ?? add(ISN, 1),
      flags: fields.flags,
      window: fields.window ?? 500,
      options,
      payload: fields.payload,
    }),
  );
}

function arrive(bytes: Uint8Array) {
  const result = testRun(object.program('agent_in'), bytes);
  return { ...result, ip: unframe(result.packet) };
}

function leave(bytes: Uint8Array) {
  const result = testRun(object.program('agent_out'), bytes);
  return { ...result, ip: unframe(result.packet) };
}

/** Checks that the packet travels in an envelope to the asking proxy, and returns what is inside. */
function opened(result: { verdict: number; ip: Uint8Array }): Uint8Array {
  assert.equal(result.verdict, Verdict.REDIRECT);
  const view = new DataView(result.ip.buffer, result.ip.byteOffset);
  assert.equal(view.getUint8(9), 4, 'IPv4 in IPv4');
  assert.equal(formatIp(view.getUint32(12)), '10.64.0.11');
  assert.equal(formatIp(view.getUint32(16)), '10.63.0.11');
  assert.equal(view.getUint16(2), result.ip.length);
  return result.ip.subarray(20);
}

function bind(forgery: Forgery = {}, windowScale = 7): void {
  assert.equal(arrive(syn(forgery)).verdict, Verdict.OK);
  opened(leave(answer({ flags: SYN | ACK, seq: S0, windowScale })));
}

test("a proxy's SYN is recorded, and reaches the kernel as an ordinary one", () => {
  const { ip, verdict } = arrive(syn());
  assert.equal(verdict, Verdict.OK);
  assert.ok(hasValidChecksums(ip));
  assert.deepEqual([parsePacket(ip)!.seq, parsePacket(ip)!.ack], [ISN, 0]);
  const { createdNs, ...binding } = bindings.get(BINDING)!;
  assert.ok(createdNs > 0n);
  assert.deepEqual(binding, {
    synIsn: ISN,
    p0: P0,
    delta: 0,
    originalIsn: ISN,
    originalP0: P0,
    vip: VIP,
    vipPort: 80,
    proxy: 1,
    known: 0,
    localScale: 0,
    clientScale: 7,
    owing: 0,
    owedEnd: ISN + 1,
    order: 0,
    numbered: 1,
  });
});

test('of a moved connection it is recorded what it was when it was new, and how many requests others had', () => {
  const moved = { isn: 11, p0: 22, start: 7 };
  assert.equal(arrive(syn({ moved })).verdict, Verdict.OK);
  const { synIsn, p0, originalIsn, originalP0, order, numbered } = bindings.get(BINDING)!;
  assert.deepEqual(
    { synIsn, p0, originalIsn, originalP0, order, numbered },
    { synIsn: ISN, p0: P0, originalIsn: 11, originalP0: 22, order: 8, numbered: 1 },
  );
  // The proxy that was before the logger says it late.
  assert.equal(arrive(syn()).verdict, Verdict.OK);
  assert.equal(counters.read().in_repeated, 1);
  assert.equal(bindings.get(BINDING)!.order, 8);
});

test('what the option says of the connection is under its MAC', () => {
  const forge = (change: object) => {
    const fields = { proxyId: 1, originalIsn: ISN, originalP0: P0, vip: VIP, vipPort: 80, order: 0 };
    const ends = { clientIp: CLIENT, backendIp: SELF, clientPort: PORTS.sport, backendPort: PORTS.dport };
    const mac = identityMac(KEY, { ...fields, ...ends, synIsn: ISN, p0: P0, owed: 0 });
    const options = encodeOptions({ mss: 1460, identity: { ...fields, ...change, mac } });
    const packet = {
      src: CLIENT,
      dst: SELF,
      ...PORTS,
      seq: ISN,
      ack: P0,
      flags: SYN,
      window: 65_535,
      options,
    };
    return arrive(frame(buildPacket(packet))).verdict;
  };
  for (const change of [{ originalP0: 1 }, { originalIsn: 1 }, { order: 1 }])
    assert.equal(forge(change), Verdict.SHOT, JSON.stringify(change));
  assert.equal(counters.read().in_forged, 3);
  assert.equal(bindings.get(BINDING), undefined);
  assert.equal(forge({}), Verdict.OK);
});

test("a port that the client uses towards another listener is refused; its connection's translation stays", async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  const [[accepted]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  const loopback = parseIp('127.0.0.1');
  const ends = { src: loopback, dst: loopback, sport: client.localPort!, dport: port };
  const key = { client: loopback, clientPort: ends.sport, localPort: port };
  try {
    assert.equal(arrive(syn({ ends })).verdict, Verdict.OK);
    const first = bindings.get(key);
    const other = { ends, vipPort: 9100, isn: 7000, p0: 8000 };
    const refusal = opened(arrive(syn(other)));
    assert.ok(hasValidChecksums(refusal));
    const { src, dst, sport, dport, seq, ack, flags } = parsePacket(refusal)!;
    assert.deepEqual(
      { src, dst, sport, dport },
      { src: ends.dst, dst: ends.src, sport: port, dport: ends.sport },
    );
    assert.deepEqual([seq, ack, flags], [0, 7001, RST | ACK]);
    assert.equal(counters.read().in_port_taken, 1);
    assert.deepEqual(bindings.get(key), first);
    // The same listener's next connection from that port takes the old one's place, as ever.
    assert.equal(arrive(syn({ ends, isn: 9000 })).verdict, Verdict.OK);

    // Once the connection is over, its port is free for any listener.
    accepted.destroy();
    client.destroy();
    await until('the port is free', () => arrive(syn(other)).verdict === Verdict.OK);
    assert.equal(bindings.get(key)?.vipPort, 9100);
  } finally {
    client.destroy();
    server.close();
  }
});

test('the SYN-ACK goes to the asking proxy, as it is, and fixes the delta', () => {
  arrive(syn());
  const sent = answer({ flags: SYN | ACK, seq: S0, windowScale: 5 });
  assert.deepEqual(opened(leave(sent)), unframe(sent));
  const binding = bindings.get(BINDING)!;
  assert.deepEqual([binding.delta, binding.known, binding.localScale], [sub(P0, S0), 1, 5]);
});

test('answers leave in the VIP’s name and in client space, across the wrap of sequence numbers', () => {
  bind();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), fc.uint8Array({ maxLength: 100 }), (ahead, payload) => {
      const sent = answer({ flags: ACK | PSH, seq: add(S0, ahead), payload });
      const { ip, verdict } = leave(sent);
      assert.equal(verdict, Verdict.OK);
      assert.ok(hasValidChecksums(ip));
      const expected = { ...parsePacket(unframe(sent))!, src: VIP, sport: 80, seq: add(P0, ahead) };
      assert.deepEqual(parsePacket(ip), expected);
      assert.deepEqual(ip.subarray(expected.payloadOffset), payload);
    }),
  );
});

test('windows are rescaled to what the client was told', () => {
  for (const [backendScale, clientOffers, window, expected] of [
    [7, true, 500, 500],
    [9, true, 500, 2000],
    [5, true, 500, 125],
    [14, true, 65_535, 65_535],
    [0, true, 64_000, 500],
    [7, false, 500, 64_000],
    [7, false, 600, 65_535],
  ] as const) {
    bindings.delete(BINDING);
    bind({ windowScale: clientOffers ? 9 : undefined }, backendScale);
    const { ip } = leave(answer({ flags: ACK, seq: add(S0, 1), window }));
    assert.equal(parsePacket(ip)!.window, expected, `scale ${backendScale}, window ${window}`);
    assert.ok(hasValidChecksums(ip));
  }
});

test('nothing but the answer to a SYN leaves while the delta is unknown', () => {
  arrive(syn());
  for (const flags of [RST | ACK, ACK]) {
    const sent = answer({ flags, seq: 0 });
    assert.deepEqual(opened(leave(sent)), unframe(sent));
  }
});

test("a refusal is the proxy's to hear, even after the delta was known", () => {
  bind();
  opened(leave(answer({ flags: RST | ACK, seq: 0 })));
  // A reset of the live connection is the client's.
  const { ip, verdict } = leave(answer({ flags: RST, seq: add(S0, 1) }));
  assert.equal(verdict, Verdict.OK);
  assert.equal(parsePacket(ip)!.src, VIP);
});

test('the doubled SYN resets nothing; a peer that asks gets the answer', () => {
  bind();
  const delta = bindings.get(BINDING)!.delta;
  new BpfMap(object.map('proxies'), u32, networkAddress).set(2, parseIp('10.63.0.12'));
  assert.equal(arrive(syn({ proxyId: 2 })).verdict, Verdict.OK);
  const binding = bindings.get(BINDING)!;
  assert.deepEqual([binding.delta, binding.known, binding.proxy], [delta, 1, 2]);
  assert.equal(counters.read().in_repeated, 1);
});

test('how far owed bytes have got is told to the proxy that owes them, not to the client', () => {
  bind({ owed: 100 });
  for (const ahead of [1, 50, 100]) {
    const sent = answer({ flags: ACK, seq: add(S0, 1), ack: add(ISN, ahead) });
    assert.deepEqual(opened(leave(sent)), unframe(sent));
  }
  // What carries bytes is the client's, whatever it acknowledges.
  const early = answer({ flags: ACK | PSH, seq: add(S0, 1), ack: add(ISN, 50), payload: new Uint8Array(3) });
  assert.equal(parsePacket(leave(early).ip)!.src, VIP);
  assert.deepEqual([counters.read().out_owed, counters.read().out_translated], [3, 1]);
});

test('when all that is owed has arrived, the proxy hears it once, and again after it has asked again', () => {
  bind({ owed: 100 });
  const all = answer({ flags: ACK, seq: add(S0, 1), ack: add(ISN, 101) });
  const client = () => parsePacket(leave(all).ip)!.src;
  assert.deepEqual(opened(leave(all)), unframe(all));
  assert.equal(client(), VIP);
  assert.equal(arrive(syn({ owed: 100 })).verdict, Verdict.OK);
  assert.deepEqual(opened(leave(all)), unframe(all));
  assert.equal(client(), VIP);
});

test('a SYN of a proxy that owes nothing leaves nothing owing, and the field is zero for the kernel', () => {
  const { ip } = arrive(syn({ owed: 0xffff }));
  assert.ok(hasValidChecksums(ip));
  assert.equal(new DataView(ip.buffer, ip.byteOffset).getUint16(38), 0);
  assert.equal(bindings.get(BINDING)!.owedEnd, ISN + 1 + 0xffff);
  arrive(syn());
  assert.equal(bindings.get(BINDING)!.owing, 0);
});

test('a new connection from the same port replaces the old binding', () => {
  bind();
  arrive(syn({ isn: 9_000_000, p0: 5 }));
  const binding = bindings.get(BINDING)!;
  assert.deepEqual([binding.synIsn, binding.p0, binding.known], [9_000_000, 5, 0]);
});

for (const [name, forgery, counter] of [
  ['a wrong key', { key: new Uint8Array(16) }, 'in_forged'],
  ['another ISN', { change: packet => packet.seq++ }, 'in_forged'],
  ['another p0', { change: packet => packet.ack-- }, 'in_forged'],
  ['another number of owed bytes', { owed: 9, change: packet => packet.urgent++ }, 'in_forged'],
  ['another client', { change: packet => packet.src++ }, 'in_forged'],
  ['a proxy that is not configured', { proxyId: 7 }, 'in_unknown_proxy'],
] as [string, Forgery, 'in_forged' | 'in_unknown_proxy'][]) {
  test(`refused, counted, nothing installed: ${name}`, () => {
    assert.equal(arrive(syn(forgery)).verdict, Verdict.SHOT);
    assert.equal(counters.read()[counter], 1);
    assert.equal([...bindings.entries()].length, 0);
  });
}

test('those who speak to the application directly are left alone', () => {
  const direct = frame(
    buildPacket({
      src: CLIENT,
      dst: SELF,
      ...PORTS,
      seq: 1,
      ack: 0,
      flags: SYN,
      window: 1,
      options: encodeOptions({ mss: 1460 }),
    }),
  );
  assert.deepEqual(arrive(direct).packet, direct);
  const reply = answer({ flags: SYN | ACK, seq: 1 });
  const result = leave(reply);
  assert.equal(result.verdict, Verdict.OK);
  assert.deepEqual(result.packet, reply);
});

test('data and FIN of a client pass ingress untouched', () => {
  bind();
  const data = frame(
    buildPacket({
      src: CLIENT,
      dst: SELF,
      ...PORTS,
      seq: ISN + 1,
      ack: S0 + 1,
      flags: ACK | FIN,
      window: 9,
      payload: new Uint8Array(9),
    }),
  );
  assert.deepEqual(arrive(data).packet, data);
});
