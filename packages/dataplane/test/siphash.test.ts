import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityMac, orderOf, siphash24, startOf, UNKNOWN_START } from '../src/index.ts';
import { SIPHASH_VECTORS } from './siphash.vectors.ts';

const key = Uint8Array.from({ length: 16 }, (_, i) => i);
const input = Uint8Array.from({ length: 64 }, (_, i) => i);

function asBigInt(hash: { hi: number; lo: number }): bigint {
  return (BigInt(hash.hi) << 32n) | BigInt(hash.lo);
}

test('SipHash-2-4 gives the reference outputs for inputs of 0 to 63 bytes', () => {
  assert.equal(SIPHASH_VECTORS.length, 64);
  for (const [length, expected] of SIPHASH_VECTORS.entries()) {
    assert.equal(asBigInt(siphash24(key, input, length)), expected, `${length} bytes`);
    assert.equal(
      asBigInt(siphash24(key, input.subarray(0, length))),
      expected,
      `subarray of ${length} bytes`,
    );
  }
});

test('a key that is not 16 bytes long is refused', () => {
  assert.throws(() => siphash24(new Uint8Array(15), input), /16 bytes, this one has 15/);
});

test('the identity tag hashes 40 packed bytes in network order and is stored low byte first', () => {
  const fields = {
    clientIp: 0x0a3d0002,
    backendIp: 0x0a40000b,
    clientPort: 40001,
    backendPort: 8080,
    synIsn: 0xfffffff0,
    p0: 0x80000001,
    proxyId: 1,
    originalIsn: 0xdeadbeef,
    originalP0: 0x66aabbcc,
    vip: 0x0a3c0001,
    vipPort: 80,
    order: 0x5678,
    owed: 0x1234,
  };
  const message = Buffer.from(
    '0a3d00020a40000b9c411f90fffffff0800000010001deadbeef66aabbcc0a3c0001005056781234',
    'hex',
  );
  assert.equal(message.length, 40);
  const expected = Buffer.alloc(8);
  expected.writeBigUInt64LE(asBigInt(siphash24(key, message)));
  assert.deepEqual(Buffer.from(identityMac(key, fields)), expected);
  for (const field of Object.keys(fields) as (keyof typeof fields)[]) {
    const other = identityMac(key, { ...fields, [field]: fields[field] ^ 1 });
    assert.notDeepEqual(Buffer.from(other), expected, `${field} is not covered`);
  }
});

test('the order of a connection tells new ones from moved ones, and numbers that do not fit as unknown', () => {
  assert.equal(orderOf(undefined), 0);
  for (const start of [0, 1, 65_533]) assert.equal(startOf(orderOf(start)), start);
  assert.deepEqual([0, 65_533].map(orderOf), [1, 65_534]);
  for (const start of [65_534, UNKNOWN_START, 1_000_000])
    assert.equal(startOf(orderOf(start)), UNKNOWN_START);
  assert.equal(startOf(0), 0, 'a new one has given nobody anything');
});
