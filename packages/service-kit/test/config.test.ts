import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { ConfigError, checkConfig, parseConfig, readConfigText } from '../src/config.ts';
import { readKey } from '../src/key.ts';
import { daemonConfig, distinct, ipAddress, peer, port, probe, vips } from '../src/schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'config-'));
after(() => rmSync(directory, { recursive: true }));

const schema = daemonConfig.extend({
  role: z.literal('logger'),
  vips,
  proxies: distinct(peer, 'name', 'id', 'address'),
  probePort: port,
  probe: probe.optional(),
});

const good = {
  name: 'logger-1',
  id: 201,
  keyFile: '/run/resplice/key',
  pinDirectory: '/run/resplice/bpf/logger-1',
  admin: { socket: '/run/resplice/logger-1/logger.sock' },
  role: 'logger',
  vips: [{ address: '10.60.0.1', port: 80 }],
  proxies: [{ name: 'proxy-1', id: 1, address: '10.63.0.11' }],
  probePort: 7001,
};

function problems(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  assert.fail('was accepted');
}

test('a good config is returned with its defaults filled in', () => {
  const config = checkConfig(schema, { ...good, probe: {} });
  assert.equal(config.logLevel, 'info');
  assert.deepEqual(config.probe, { intervalMs: 20, misses: 3 });
  assert.equal(config.proxies[0]?.address, '10.63.0.11');
});

test('all problems are named at once, by their path', () => {
  const bad = {
    ...good,
    id: 65536,
    role: 'proxy',
    logLevel: 'loud',
    admin: { sokcet: '/run/x.sock' },
    vips: [],
    proxies: [
      { name: 'proxy-1', id: 1, address: '10.63.0.11' },
      { name: 'proxy-1', id: 2 },
      { name: 'Proxy 3', id: 1.5, address: '10.63.0.256' },
      'proxy-4',
    ],
    probePort: '7001',
    probe: { intervalMs: 1 },
  };
  assert.deepEqual([...problems(() => checkConfig(schema, bad))].sort(), [
    'config: admin.socket: missing',
    'config: admin.sokcet: unknown field',
    'config: id: must be at most 65535',
    'config: logLevel: must be "trace" or "debug" or "info" or "warn" or "error" or "fatal"',
    'config: probe.intervalMs: must be at least 5',
    'config: probePort: must be a number',
    'config: proxies[1].address: missing',
    'config: proxies[2].address: must be an IPv4 address such as 10.62.0.11',
    'config: proxies[2].id: must be an integer',
    'config: proxies[2].name: must be a name of lower-case letters, digits and dashes, such as proxy-1',
    'config: proxies[3]: must be an object',
    'config: role: must be "logger"',
    'config: vips: must be at least 1 item',
  ]);
});

test('items that share what must be their own are named', () => {
  const proxies = [...good.proxies, { name: 'proxy-2', id: 1, address: '10.63.0.11' }];
  const twice = [...good.vips, ...good.vips];
  assert.deepEqual([...problems(() => checkConfig(schema, { ...good, proxies, vips: twice }))].sort(), [
    'config: proxies[1].address: is also that of item 0',
    'config: proxies[1].id: is also that of item 0',
    'config: vips[1]: 10.60.0.1:80 is listed twice',
  ]);
});

test('what is no object, no JSON or no file is one problem', () => {
  for (const value of [null, [], 'x', 7]) {
    assert.deepEqual(
      problems(() => checkConfig(schema, value)),
      ['config: must be an object'],
    );
  }
  const file = join(directory, 'broken.json');
  writeFileSync(file, '{"name": ');
  assert.match(
    problems(() => parseConfig(schema, readConfigText(file)))[0]!,
    /^config: .*broken\.json is not JSON: /,
  );
  assert.match(problems(() => readConfigText(`${file}x`))[0]!, /^config: .*cannot be read: ENOENT/);
});

test('addresses must be dotted quads', () => {
  for (const bad of ['', '10.0.0', '10.0.0.0.1', '010.0.0.1', '10.0.0.1/24', '::1', 'proxy-1']) {
    assert.equal(ipAddress.safeParse(bad).success, false, bad);
  }
  assert.equal(ipAddress.safeParse('255.255.255.255').success, true);
});

test('a key file is read, and refused without showing what is in it', () => {
  const file = join(directory, 'key');
  const digits = '00ff'.repeat(16);
  const write = (text: string, mode = 0o600) => {
    writeFileSync(file, text);
    chmodSync(file, mode);
  };
  write(`${digits}\n`);
  assert.deepEqual([...readKey(file)], Array(16).fill([0, 0xff]).flat());
  write(digits.toUpperCase());
  assert.equal(readKey(file).length, 32);

  const refused = (expected: RegExp) => {
    const [problem] = problems(() => readKey(file));
    assert.match(problem!, expected);
    assert.ok(!problem!.includes('00ff'), 'the key is in the message');
  };
  write(`${digits}\n`, 0o640);
  refused(/^config: keyFile: .* may be read or written by others \(mode 0640\)/);
  write(digits.slice(1));
  refused(/it holds 63 characters/);
  write(`${digits.slice(1)}g`);
  refused(/other than hex digits/);
  write('');
  refused(/it holds 0 characters/);
  assert.match(problems(() => readKey(`${file}s`))[0]!, /^config: keyFile: .*cannot be read: ENOENT/);
});
