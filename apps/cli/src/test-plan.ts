import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** A tool that counts as one test: it passes when it exits 0. */
export interface StaticCheck {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

export interface TestPlan {
  readonly checks: readonly StaticCheck[];
  /** Beside each other, two at a time. */
  readonly unit: readonly string[];
  /** One after the other: they bring the one lab up, or measure time. */
  readonly endToEnd: readonly string[];
  /** Likewise, and last: a container engine changes how the machine forwards, and the lab's tests must not meet that. */
  readonly containers: readonly string[];
  /** Only tests with this in their name; undefined: all. */
  readonly namePattern: string | undefined;
}

function tool(name: string): string {
  return join(repository, 'node_modules/.bin', name);
}

const checks: readonly StaticCheck[] = [
  { name: 'biome', command: [tool('biome'), 'check', '.'] },
  { name: 'tsc', command: [tool('tsc'), '--noEmit'] },
  {
    name: 'bpf objects are fresh',
    command: [process.execPath, 'packages/dataplane/src/build.ts', '--check'],
  },
];

function files(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: repository })
    .filter(file => !file.includes('node_modules'))
    .sort();
}

export function wholePlan(): TestPlan {
  const units = files(
    '{packages,apps,infra,examples}/*/test/**/*.test.ts',
    '{bench,drill}/test/**/*.test.ts',
  );
  const containers = files('e2e/compose*.test.ts');
  const measuring = files('infra/tc-netem-wrapper/test/*.test.ts');
  return {
    checks,
    unit: units.filter(file => !measuring.includes(file)),
    endToEnd: [...measuring, ...files('e2e/**/*.test.ts').filter(file => !containers.includes(file))],
    containers,
    namePattern: undefined,
  };
}

function textOf(file: string): string {
  return readFileSync(join(repository, file), 'utf8');
}

/** Those files and checks whose name holds the pattern; when there is none, the tests whose name does. */
export function narrowPlan(plan: TestPlan, pattern: string, read = textOf): TestPlan {
  const narrowed = {
    checks: plan.checks.filter(({ name }) => name.includes(pattern)),
    unit: plan.unit.filter(file => file.includes(pattern)),
    endToEnd: plan.endToEnd.filter(file => file.includes(pattern)),
    containers: plan.containers.filter(file => file.includes(pattern)),
    namePattern: undefined,
  };
  const { checks: some, unit, endToEnd, containers } = narrowed;
  if ([some, unit, endToEnd, containers].some(({ length }) => length > 0)) return narrowed;
  // A file that does not even hold the words need not run, least of all bring the lab up.
  const holds = (file: string) => read(file).includes(pattern);
  return {
    checks: [],
    unit: plan.unit.filter(holds),
    endToEnd: plan.endToEnd.filter(holds),
    containers: plan.containers.filter(holds),
    namePattern: pattern,
  };
}
