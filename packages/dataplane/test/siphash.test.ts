import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityMac, siphash24 } from '../src/index.ts';
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

test('the identity tag hashes 38 packed bytes in network order and is stored low byte first', () => {
  const fields = {
    clientIp: 0x0a3d0002,
    backendIp: 0x0a40000b,
    clientPort: 40001,
    backendPort: 8080,
    synIsn: 0xfffffff0,
    p0: 0x80000001,
    proxyId: 1,
    epoch: 0x66aabbcc,
    originalIsn: 0xdeadbeef,
    vip: 0x0a3c0001,
    vipPort: 80,
    owed: 0x1234,
  };
  const message = Buffer.from(
    '0a3d00020a40000b9c411f90fffffff080000001000166aabbccdeadbeef0a3c000100501234',
    'hex',
  );
  assert.equal(message.length, 38);
  const expected = Buffer.alloc(8);
  expected.writeBigUInt64LE(asBigInt(siphash24(key, message)));
  assert.deepEqual(Buffer.from(identityMac(key, fields)), expected);
  for (const field of Object.keys(fields) as (keyof typeof fields)[]) {
    const other = identityMac(key, { ...fields, [field]: fields[field] ^ 1 });
    assert.notDeepEqual(Buffer.from(other), expected, `${field} is not covered`);
  }
});
