import { LabError, NetnsEngine, requireMachine } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { withContainerEngine } from '../container-engine.ts';
import { exitCode } from '../exit-code.ts';
import { runChecks } from '../static-checks.ts';
import { withStopSignal } from '../stop-signal.ts';
import { isGreen, sum, summaryLine } from '../test-count.ts';
import { narrowPlan, wholePlan } from '../test-plan.ts';
import { runTests } from '../test-run.ts';

/** A test that boots a kernel in user space reports when that has done all its measurements. */
const unitIdleMs = 500_000;
const endToEndIdleMs = 600_000;

export const command = defineCommand({
  name: 'test',
  synopsis: '[PATTERN]',
  summary: 'Run every check and test, or those whose file (else whose own name) holds PATTERN.',
  options: {},
  async run({ positionals }) {
    requirePositionals(positionals, 0, 1, './resplice test [PATTERN]');
    requireMachine();
    const [pattern] = positionals;
    const plan = pattern === undefined ? wholePlan() : narrowPlan(wholePlan(), pattern);
    if (plan.endToEnd.length + plan.containers.length > 0 && new NetnsEngine().isThere()) {
      throw new LabError('usage', 'the end-to-end tests need the lab for themselves; first: ./resplice down');
    }
    const { namePattern } = plan;
    const counts = await withStopSignal(async signal => {
      const oneByOne = (files: readonly string[]) =>
        runTests({ files, concurrency: 1, idleMs: endToEndIdleMs, namePattern, signal });
      const all = [
        await runChecks(plan.checks, signal),
        await runTests({ files: plan.unit, concurrency: 2, idleMs: unitIdleMs, namePattern, signal }),
        await oneByOne(plan.endToEnd),
      ];
      if (plan.containers.length > 0 && !signal.aborted)
        all.push(await withContainerEngine(() => oneByOne(plan.containers)));
      if (signal.aborted) throw new LabError('interrupted', 'interrupted; not all was run');
      return all;
    });
    const total = sum(counts);
    process.stdout.write(`${summaryLine(total)}\n`);
    return isGreen(total, process.env.CI === 'true') ? exitCode.pass : exitCode.fail;
  },
});
