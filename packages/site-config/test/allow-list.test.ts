import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileAllowList } from '../src/allow-list.ts';
import { containsNetwork, formatNetwork, maskOf, type Network, readNetwork } from '../src/network.ts';

const network: fc.Arbitrary<Network> = fc
  .record({ address: fc.integer({ min: 0, max: 0xffffffff }), bits: fc.integer({ min: 0, max: 32 }) })
  .map(({ address, bits }) => ({ address: (address & maskOf(bits)) >>> 0, bits }));

test('an allow-list admits what any of its networks contains', () => {
  fc.assert(
    fc.property(
      fc.array(network, { maxLength: 40 }),
      fc.array(fc.integer({ min: 0, max: 0xffffffff }), { minLength: 1 }),
      (networks, anywhere) => {
        const admits = compileAllowList(networks.map(formatNetwork));
        // Edges are where a search goes wrong.
        const edges = networks.flatMap(({ address, bits }) => {
          const last = address + 2 ** (32 - bits) - 1;
          return [address, address - 1, last, last + 1];
        });
        for (const address of [...anywhere, ...edges, 0, 0xffffffff]) {
          if (address < 0 || address > 0xffffffff) continue;
          const expected = networks.some(outer => containsNetwork(outer, { address, bits: 32 }));
          assert.equal(admits(address), expected, `${address} in ${networks.map(formatNetwork)}`);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('no list admits everyone, an empty list no one, /0 everyone, /32 one', () => {
  assert.equal(compileAllowList(undefined)(1), true);
  assert.equal(compileAllowList([])(1), false);
  const all = compileAllowList(['0.0.0.0/0', '10.0.0.0/8']);
  assert.deepEqual([0, 0x80000000, 0xffffffff].map(all), [true, true, true]);
  const one = compileAllowList(['255.255.255.255']);
  assert.deepEqual([0xfffffffe, 0xffffffff, 0].map(one), [false, true, false]);
});

test('a list with a broken entry does not compile', () => {
  assert.throws(() => compileAllowList(['10.0.0.0/8', '10.0.0.1/8']), RangeError);
});

test('networks are read exactly', () => {
  const problem = (text: string) => {
    const reading = readNetwork(text);
    return 'problem' in reading ? reading.problem : formatNetwork(reading.network);
  };
  assert.equal(problem('10.0.0.0/8'), '10.0.0.0/8');
  assert.equal(problem('10.0.0.1'), '10.0.0.1/32');
  assert.equal(
    problem('10.1.2.3/8'),
    '10.1.2.3/8 has host bits set: write 10.0.0.0/8, or 10.1.2.3 for one address',
  );
  assert.equal(
    problem('192.168.0.1/0'),
    '192.168.0.1/0 has host bits set: write 0.0.0.0/0, or 192.168.0.1 for one address',
  );
  assert.equal(problem('10.0.0.0/33'), '/33 is above /32');
  assert.equal(problem('10.0.0.256/32'), '256 is above 255');
  assert.equal(problem('10.0.0.010'), '010 has a leading zero');
  assert.equal(problem('fe80::/10'), 'fe80::/10 is not IPv4, and only IPv4 is served');
  for (const text of ['', '10.0.0/8', '10.0.0.0/', ' 10.0.0.0', '10.0.0.0/8/8', 'ten'])
    assert.equal(problem(text), 'must be an IPv4 network such as 10.0.0.0/8');
});
