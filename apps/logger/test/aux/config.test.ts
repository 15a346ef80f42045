import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConfigError, checkConfig } from '@resplice/service-kit';
import { exampleConfig } from '@resplice/service-kit/testing';
import { auxiliaryConfig } from '../../src/aux/config.ts';

const example = exampleConfig(join(import.meta.dirname, '../../AUXILIARY.md')) as Record<string, unknown>;

test('the example in AUXILIARY.md is a whole config', () => {
  assert.deepEqual(checkConfig(auxiliaryConfig, example), example);
});

test('all that is wrong is said at once', () => {
  const wrong = {
    ...example,
    services: [{ name: 'smtp', protocol: 'pop3', listen: { address: 'here', port: 0 } }],
    backends: [],
    logDirectory: 'log',
  };
  assert.throws(
    () => checkConfig(auxiliaryConfig, wrong),
    ({ problems }: ConfigError) => {
      assert.ok(problems.length >= 6, problems.join('\n'));
      assert.ok(problems.includes('config: services[0].protocol: must be "smtp" or "http"'));
      assert.ok(problems.includes('config: logDirectory: must be an absolute path'));
      return true;
    },
  );
});
