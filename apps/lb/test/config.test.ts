import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkConfig } from '@resplice/service-kit';
import { exampleConfig } from '@resplice/service-kit/testing';
import { lbConfig } from '../src/config.ts';

test('the example in the README is a whole config', () => {
  const example = exampleConfig(join(import.meta.dirname, '../README.md'));
  assert.deepEqual(checkConfig(lbConfig, example), example);
});
