/** The PROXY protocol's header: its exact bytes, what is refused, and that reading it leaves the rest alone. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  decodeProxyHeader,
  encodeProxyHeader,
  MAX_PROXY_HEADER_BYTES,
  type ProxyHeader,
  ProxyHeaderError,
  proxyHeaderLength,
  readProxyHeader,
} from '../src/index.ts';

const header: ProxyHeader = {
  route: {
    client: { address: '192.0.2.7', port: 40_000 },
    server: { address: '10.62.0.10', port: 80 },
  },
  transaction: 'AbC-_9',
  caller: { backend: 2, epoch: 0x01020304, attempt: 1, step: 3 },
};
const bytes = Buffer.from(
  '0d0a0d0a000d0a515549540a' + // signature
    '21110022' + // PROXY, TCP over IPv4, 34 bytes follow
    'c00002070a3e000a9c400050' + // addresses and ports
    '0500064162432d5f39' + // unique ID
    'e0000a00020102030400010003', // caller
  'hex',
);

suite('the header', () => {
  test('is these bytes', () => {
    assert.equal(encodeProxyHeader(header).toString('hex'), bytes.toString('hex'));
    assert.deepEqual(decodeProxyHeader(bytes), header);
    assert.equal(proxyHeaderLength(bytes.subarray(0, 16)), bytes.length);
  });

  test('is read as it was written', () => {
    const u16 = fc.integer({ min: 0, max: 0xffff });
    const endpoint = (address: fc.Arbitrary<string>) => fc.record({ address, port: u16 });
    const v4 = fc.ipV4();
    const v6 = fc.constantFrom('::', '::1', 'fe80::1:2', '2001:db8:1:2:3:4:5:6');
    const route = fc.oneof(
      fc.record({ client: endpoint(v4), server: endpoint(v4) }),
      fc.record({ client: endpoint(v6), server: endpoint(v6) }),
    );
    const any = fc.record({
      route: fc.option(route, { nil: undefined }),
      transaction: fc.option(fc.stringMatching(/^[\w-]{1,128}$/), { nil: undefined }),
      caller: fc.option(
        fc.record({
          backend: u16,
          epoch: fc.integer({ min: 0, max: 0xffff_ffff }),
          attempt: u16,
          step: u16,
        }),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(any, each =>
        assert.deepEqual(decodeProxyHeader(encodeProxyHeader(each)), structuredClone(each)),
      ),
    );
  });

  test('values of other types are skipped', () => {
    const more = Buffer.concat([bytes, Buffer.from('02000161', 'hex')]);
    more.writeUInt16BE(more.length - 16, 14);
    assert.deepEqual(decodeProxyHeader(more), header);
  });

  test('whatever the bytes are, it is read or refused', () => {
    const near = fc
      .tuple(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length))
      .map(([at, value, length]) => {
        const copy = Buffer.from(bytes);
        copy[at] = value;
        return copy.subarray(0, length);
      });
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array()), each => {
        try {
          decodeProxyHeader(each);
        } catch (error) {
          assert.ok(error instanceof ProxyHeaderError, String(error));
        }
      }),
    );
  });

  const refused: readonly (readonly [string, (at: Buffer) => void, RegExp])[] = [
    ['another signature', at => at.writeUInt8(0x50, 0), /not there/],
    ['version 1', at => at.writeUInt8(0x11, 12), /version and command 0x11/],
    ['a length beyond the limit', at => at.writeUInt16BE(MAX_PROXY_HEADER_BYTES, 14), /too long/],
    ['a length beyond its end', at => at.writeUInt16BE(200, 14), /cut short/],
    ['a value beyond its end', at => at.writeUInt8(99, 30), /last value is cut short/],
    ['a transaction ID with a line break', at => at.writeUInt8(10, 33), /no transaction ID/],
    ['a caller of another size', at => at.writeUInt8(9, 39), /its caller has 9 bytes|cut short/],
  ];
  for (const [what, spoil, why] of refused) {
    test(`refused: ${what}`, () => {
      const copy = Buffer.from(bytes);
      spoil(copy);
      assert.throws(() => decodeProxyHeader(copy), why);
    });
  }

  test('what cannot be written is refused', () => {
    assert.throws(() => encodeProxyHeader({ ...header, transaction: 'a b' }), /no transaction ID/);
    const { client } = header.route!;
    const server = { address: '::1', port: 80 };
    assert.throws(() => encodeProxyHeader({ ...header, route: { client, server } }), /one address is IPv4/);
  });
});

suite('reading it off a stream', () => {
  test('byte by byte, and what follows stays', async () => {
    const stream = new PassThrough();
    const read = readProxyHeader(stream, 5000);
    for (const byte of bytes) stream.write(Buffer.from([byte]));
    stream.end('EHLO');
    assert.deepEqual(await read, header);
    assert.equal(String(stream.read()), 'EHLO');
  });

  test('all at once, and what follows stays', async () => {
    const stream = new PassThrough();
    stream.write(Buffer.concat([bytes, Buffer.from('GET /')]));
    assert.deepEqual(await readProxyHeader(stream, 5000), header);
    assert.equal(String(stream.read()), 'GET /');
  });

  test('garbage, an end and silence are refused', async () => {
    const garbage = new PassThrough();
    garbage.write('GET / HTTP/1.1\r\nHost: x\r\n');
    await assert.rejects(readProxyHeader(garbage, 5000), ProxyHeaderError);
    const ended = new PassThrough();
    ended.end(bytes.subarray(0, 20));
    await assert.rejects(readProxyHeader(ended, 5000), /cut short|ended before/);
    const early = new PassThrough();
    early.end(bytes.subarray(0, 10));
    await assert.rejects(readProxyHeader(early, 5000), /ended before/);
    await assert.rejects(readProxyHeader(new PassThrough(), 5), /not there in time/);
  });
});
