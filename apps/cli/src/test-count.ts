export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const nothing: TestCount = { passed: 0, failed: 0, skipped: 0 };

export function sum(counts: readonly TestCount[]): TestCount {
  return counts.reduce(
    (a, b) => ({
      passed: a.passed + b.passed,
      failed: a.failed + b.failed,
      skipped: a.skipped + b.skipped,
    }),
    nothing,
  );
}

/** The last line of `test` (CLI.md). */
export function summaryLine({ passed, failed, skipped }: TestCount): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** A skip in CI is a failure, and so is a run that tested nothing. */
export function isGreen({ passed, failed, skipped }: TestCount, inCi: boolean): boolean {
  return failed === 0 && passed + skipped > 0 && !(inCi && skipped > 0);
}
