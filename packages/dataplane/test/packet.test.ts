import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildPacket,
  encodeOptions,
  encodeSack,
  hasValidChecksums,
  IDENTITY_LENGTH,
  type Identity,
  parseIp,
  parseOptions,
  parsePacket,
  TcpFlags,
} from '../src/index.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const identity: fc.Arbitrary<Identity> = fc.record(
  {
    proxyId: u16,
    originalIsn: u32,
    originalP0: u32,
    vip: u32,
    vipPort: u16,
    order: u16,
    mac: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  },
  { noNullPrototype: true },
);
const fields = fc.record(
  {
    src: u32,
    dst: u32,
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    flags: fc.integer({ min: 0, max: 0xff }),
    window: u16,
    ttl: fc.integer({ min: 1, max: 255 }),
    payload: fc.uint8Array({ maxLength: 1500 }),
  },
  { noNullPrototype: true },
);
const syn = { src: 1, dst: 2, sport: 3, dport: 4, seq: 5, ack: 6, flags: TcpFlags.SYN, window: 7 };

test('a packet is read back as it was made, wherever it lies, with correct checksums', () => {
  fc.assert(
    fc.property(fields, fc.nat({ max: 40 }), fc.nat({ max: 20 }), (given, offset, padding) => {
      const packet = buildPacket(given);
      const frame = new Uint8Array(offset + packet.length + padding).fill(0xee);
      frame.set(packet, offset);
      const parsed = parsePacket(frame, offset, packet.length + padding);
      const { payload, ...headers } = given;
      assert.ok(parsed);
      assert.deepEqual({ ...parsed, ...headers }, parsed);
      assert.deepEqual(
        frame.subarray(parsed.payloadOffset, parsed.payloadOffset + parsed.payloadLength),
        payload,
      );
      assert.ok(hasValidChecksums(frame, offset));
      assert.deepEqual(parsePacket(new DataView(frame.buffer), offset), parsed);
    }),
  );
});

test('a flipped bit is noticed', () => {
  const packet = buildPacket({ ...syn, payload: Buffer.from('GET / HTTP/1.1\r\n\r\n') });
  for (const at of [8, 13, 25, 39 + 5]) {
    const damaged = packet.slice();
    damaged[at]! ^= 0x10;
    assert.equal(hasValidChecksums(damaged), false, `byte ${at}`);
  }
});

test('the headers lie on the wire as RFC 791 and RFC 9293 draw them', () => {
  const packet = buildPacket({
    src: parseIp('10.61.0.2'),
    dst: parseIp('10.60.0.1'),
    sport: 40001,
    dport: 80,
    seq: 0x01020304,
    ack: 0x05060708,
    flags: TcpFlags.PSH | TcpFlags.ACK,
    window: 512,
    payload: Buffer.from('GET'),
  });
  const ip = '4500002b 00004000 40062652 0a3d0002 0a3c0001';
  const tcp = '9c410050 01020304 05060708 50180200 51630000 474554';
  assert.equal(Buffer.from(packet).toString('hex'), (ip + tcp).replaceAll(' ', ''));
});

test('`into` is filled from its start, and a dirty buffer does not show through', () => {
  const into = new Uint8Array(100).fill(0xff);
  const packet = buildPacket({ ...syn, into });
  assert.equal(packet.buffer, into.buffer);
  assert.deepEqual(packet, buildPacket(syn));
  assert.throws(() => buildPacket({ ...syn, into: new Uint8Array(39) }), /40 bytes does not fit into 39/);
});

test('what cannot be a packet is refused', () => {
  assert.throws(() => buildPacket({ ...syn, options: new Uint8Array(3) }), /multiple of 4/);
  assert.throws(() => buildPacket({ ...syn, options: new Uint8Array(44) }), /at most 40/);
  assert.throws(() => buildPacket({ ...syn, payload: new Uint8Array(65536) }), /65535/);
  assert.equal(buildPacket({ ...syn, payload: new Uint8Array(65495) }).length, 65535);
});

test('anything but a whole TCP segment over IPv4 is not parsed', () => {
  const good = buildPacket({ ...syn, payload: new Uint8Array(10) });
  assert.ok(parsePacket(good));
  const bad: [name: string, at: number, value: number][] = [
    ['IPv6', 0, 0x65],
    ['short IP header', 0, 0x44],
    ['IP header beyond the packet', 0, 0x4f],
    ['UDP', 9, 17],
    ['first fragment', 6, 0x20],
    ['later fragment', 7, 1],
    ['total length beyond the buffer', 3, good.length + 1],
    ['total length within the headers', 3, 39],
    ['short TCP header', 32, 0x40],
    ['TCP header beyond the packet', 32, 0xf0],
  ];
  for (const [name, at, value] of bad) {
    const bytes = good.slice();
    bytes[at] = value;
    assert.equal(parsePacket(bytes), undefined, name);
  }
  assert.equal(parsePacket(good, 0, 39), undefined);
  assert.equal(parsePacket(new Uint8Array(0)), undefined);
});

test('garbage never makes the parsers throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
      if (bytes.length) bytes[0] = 0x45;
      parsePacket(bytes);
      parseOptions(bytes);
    }),
    { numRuns: 500 },
  );
});

test('handshake options come back, padded to a multiple of four', () => {
  const options = fc.record(
    { mss: u16, sackPermitted: fc.constant(true), windowScale: fc.integer({ min: 0, max: 14 }), identity },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(options, given => {
      const bytes = encodeOptions(given);
      assert.ok(bytes.length % 4 === 0 && bytes.length <= 40);
      assert.deepEqual(parseOptions(bytes), { sackPermitted: false, sackBlocks: [], ...given });
      const packet = buildPacket({ ...syn, options: bytes });
      const parsed = parsePacket(packet)!;
      assert.deepEqual(parseOptions(packet, parsed.optionsOffset, parsed.optionsLength), parseOptions(bytes));
    }),
  );
});

test('the identity option lies on the wire as the BPF programs read it', () => {
  const bytes = encodeOptions({
    mss: 1460,
    sackPermitted: true,
    windowScale: 7,
    identity: {
      proxyId: 0x0102,
      originalIsn: 0x03040506,
      originalP0: 0x0708090a,
      vip: 0x0a3c0001,
      vipPort: 80,
      order: 0x0b0c,
      mac: Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
    },
  });
  const expected =
    '020405b4 0402 030307 fe1f5253 03 0102 03040506 0708090a 0a3c0001 0050 0b0c 0102030405060708';
  assert.equal(Buffer.from(bytes).toString('hex'), expected.replaceAll(' ', ''));
  assert.equal(bytes[10], IDENTITY_LENGTH);
});

test('fields that would be cut are refused', () => {
  const good = {
    ...{ proxyId: 1, originalIsn: 1, originalP0: 1, vip: 1, vipPort: 1, order: 1 },
    mac: new Uint8Array(8),
  };
  assert.throws(() => encodeOptions({ identity: { ...good, proxyId: 65536 } }), /proxyId is 65536/);
  assert.throws(
    () => encodeOptions({ identity: { ...good, mac: new Uint8Array(7) } }),
    /has 8 bytes, this one has 7/,
  );
  assert.throws(() => encodeOptions({ windowScale: 15 }), /windowScale is 15/);
  assert.throws(() => encodeOptions({ mss: 1.5 }), /mss is 1.5/);
});

test('SACK blocks are read; another experiment, a wrong version and malformed options are not ours', () => {
  const sack = Buffer.from('0101051200000001000000020000000300000004', 'hex');
  assert.deepEqual(parseOptions(sack).sackBlocks, [
    [1, 2],
    [3, 4],
  ]);
  const ours = encodeOptions({
    identity: {
      ...{ proxyId: 1, originalIsn: 1, originalP0: 1, vip: 1, vipPort: 1, order: 1 },
      mac: new Uint8Array(8),
    },
  });
  assert.ok(parseOptions(ours).identity);
  for (const at of [1, 2, 3, 4]) {
    const other = ours.slice();
    other[at]! ^= 1;
    assert.equal(parseOptions(other).identity, undefined, `byte ${at}`);
  }
  assert.equal(parseOptions(Buffer.from('0200020405b4', 'hex')).mss, undefined, 'length 0 ends the parsing');
  assert.equal(parseOptions(Buffer.from('00020405b4', 'hex')).mss, undefined, 'end of list ends the parsing');
  assert.equal(parseOptions(Buffer.from('0303ff', 'hex')).windowScale, 14, 'RFC 7323 §2.3');
});

test('SACK blocks are written as they are read, four at most', () => {
  const blocks = [1, 2, 3, 4, 5].map(i => [0xffff_fff0 + i, i * 100] as const);
  const bytes = encodeSack(blocks);
  assert.equal(bytes.length % 4, 0);
  assert.deepEqual(parseOptions(bytes).sackBlocks, blocks.slice(0, 4));
  assert.equal(encodeSack([]).length, 0);
});
