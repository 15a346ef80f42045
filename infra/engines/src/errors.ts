/** Why a lab operation did not succeed; the CLI maps each to an exit code. */
export type LabErrorCode =
  | 'usage'
  | 'wrong-config'
  | 'already-up'
  | 'not-up'
  | 'capability'
  | 'unhealthy'
  | 'interrupted';

export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code: LabErrorCode;
  /** What helps the reader further: the last log lines of what was unhealthy. */
  readonly details: readonly string[];

  constructor(
    code: LabErrorCode,
    message: string,
    { details = [], cause }: { details?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? {} : { cause });
    this.code = code;
    this.details = details;
  }
}

export function notUp(): LabError {
  return new LabError('not-up', 'no lab is up; start one with: ./resplice up --detach');
}
