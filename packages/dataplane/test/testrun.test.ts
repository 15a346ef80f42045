import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { flowHash, identityMac, testRun, Verdict } from '../src/index.ts';
import { frame, loadSample } from './fixture.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });

test('verdict, packet and context come back', t => {
  const object = loadSample(t);
  const before = frame(Buffer.from('content'));
  const run = testRun(object.program('sample_swap'), before, { mark: 41 });
  assert.equal(run.verdict, Verdict.PIPE);
  assert.deepEqual(Buffer.from(run.packet.subarray(0, 12)).toString('hex'), '020000000001020000000002');
  assert.deepEqual(run.packet.subarray(14), before.subarray(14));
  assert.equal(before[5], 2, 'the input is left alone');
  assert.equal(run.mark, 42);
  assert.equal(run.cb[0], 0x0800, 'the protocol is taken from the Ethernet header');
  assert.equal(testRun(object.program('sample_drop'), before).verdict, Verdict.SHOT);
});

test('a small Buffer of the shared pool is sent from its own bytes', t => {
  const packet = Buffer.concat([Buffer.from('0102030405060708090a0b0c0800', 'hex'), Buffer.alloc(50, 7)]);
  const run = testRun(loadSample(t).program('sample_swap'), packet);
  assert.equal(Buffer.from(run.packet.subarray(0, 12)).toString('hex'), '0708090a0b0c010203040506');
});

test('what the kernel does not run is refused with a reason', t => {
  const program = loadSample(t).program('sample_drop');
  assert.throws(() => testRun(program, new Uint8Array(13)), /13 bytes has no Ethernet header/);
  assert.throws(() => testRun(program, frame(), { ifindex: 999_999 }), {
    name: 'DataplaneError',
    code: /ENODEV|EINVAL/,
  });
  assert.throws(() => testRun({ name: 'gone', fd: 99_999 }, frame()), {
    message: /program gone/,
    code: 'EBADF',
  });
});

test('the flow hash is the same in TypeScript and in BPF', t => {
  const program = loadSample(t).program('sample_flow_hash');
  const content = new Uint8Array(16);
  const view = new DataView(content.buffer);
  fc.assert(
    fc.property(u32, u16, u32, u16, u32, (client, clientPort, vip, vipPort, seed) => {
      view.setUint32(0, client);
      view.setUint32(4, vip);
      view.setUint16(8, clientPort);
      view.setUint16(10, vipPort);
      view.setUint32(12, seed, true);
      assert.equal(testRun(program, frame(content)).mark, flowHash(client, clientPort, vip, vipPort, seed));
    }),
  );
});

test('the identity tag is the same in TypeScript and in BPF', t => {
  const program = loadSample(t).program('sample_identity_mac');
  const fields = fc.record({
    clientIp: u32,
    backendIp: u32,
    clientPort: u16,
    backendPort: u16,
    synIsn: u32,
    p0: u32,
    proxyId: u16,
    originalIsn: u32,
    originalP0: u32,
    vip: u32,
    vipPort: u16,
    order: u16,
    owed: u16,
  });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fields, (key, of) => {
      const content = Buffer.alloc(56);
      content.set(key);
      let at = 16;
      for (const [name, value] of Object.entries(of)) {
        const size = /Port|proxyId|order|owed/.test(name) ? 2 : 4;
        content.writeUIntBE(value, at, size);
        at += size;
      }
      const { cb } = testRun(program, frame(content));
      const mac = new DataView(identityMac(key, of).buffer);
      assert.deepEqual([cb[0], cb[1]], [mac.getUint32(0, true), mac.getUint32(4, true)]);
    }),
  );
});
