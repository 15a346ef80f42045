import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isGreen, nothing, sum, summaryLine } from '../src/test-count.ts';
import { narrowPlan, type TestPlan, wholePlan } from '../src/test-plan.ts';

const plan: TestPlan = {
  checks: [{ name: 'biome', command: ['biome'] }],
  unit: ['packages/dataplane/test/packet.test.ts', 'apps/proxy/test/proxy.test.ts'],
  endToEnd: ['e2e/proxy-crash.test.ts'],
  containers: ['e2e/compose.test.ts'],
  namePattern: undefined,
};

suite('the test plan', () => {
  test('finds this very file among the units, and no file twice', () => {
    const { unit, endToEnd, containers, checks } = wholePlan();
    assert.ok(unit.includes('apps/cli/test/test-plan.test.ts'));
    assert.ok(endToEnd.every(file => /^(?:e2e|infra\/tc-netem-wrapper)\//.test(file)));
    const all = [...unit, ...endToEnd, ...containers];
    assert.equal(new Set(all).size, all.length);
    assert.deepEqual(containers, ['e2e/compose-engine.test.ts', 'e2e/compose.test.ts']);
    assert.deepEqual(
      checks.map(check => check.name),
      ['biome', 'tsc', 'bpf objects are fresh'],
    );
  });

  test('a pattern picks files and checks by their names', () => {
    const narrowed = narrowPlan(plan, 'proxy');
    assert.deepEqual(narrowed.unit, ['apps/proxy/test/proxy.test.ts']);
    assert.deepEqual(narrowed.endToEnd, ['e2e/proxy-crash.test.ts']);
    assert.deepEqual([narrowed.checks, narrowed.containers], [[], []]);
    assert.deepEqual(narrowPlan(plan, 'compose').containers, plan.containers);
    assert.deepEqual(narrowPlan(plan, 'biome'), {
      checks: plan.checks,
      unit: [],
      endToEnd: [],
      containers: [],
      namePattern: undefined,
    });
  });

  test('a pattern that no file has in its name picks tests by theirs', () => {
    const read = (file: string) => (file.includes('packet') ? "test('wraps around', () => {})" : '');
    assert.deepEqual(narrowPlan(plan, 'wraps around', read), {
      checks: [],
      unit: ['packages/dataplane/test/packet.test.ts'],
      endToEnd: [],
      containers: [],
      namePattern: 'wraps around',
    });
  });
});

suite('the verdict', () => {
  const count = (passed: number, failed: number, skipped: number) => ({ passed, failed, skipped });

  test('counts add up to the line that scripts read', () => {
    assert.equal(summaryLine(sum([count(1, 2, 3), count(10, 20, 30)])), '11 passed, 22 failed, 33 skipped');
    assert.deepEqual(sum([]), nothing);
  });

  test('a failure is red, a skip is red in CI only, and so is having tested nothing anywhere', () => {
    assert.equal(isGreen(count(5, 0, 0), true), true);
    assert.equal(isGreen(count(5, 1, 0), false), false);
    assert.equal(isGreen(count(5, 0, 1), false), true);
    assert.equal(isGreen(count(5, 0, 1), true), false);
    assert.equal(isGreen(nothing, false), false);
  });
});
