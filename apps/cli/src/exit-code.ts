import type { LabErrorCode } from '@resplice/engines';

/** CLI.md; scripts depend on them. */
export const exitCode = {
  pass: 0,
  fail: 1,
  inconclusive: 2,
  usage: 64,
  capability: 69,
  internal: 70,
  /** 128 + SIGINT, as a shell reports it. */
  interrupted: 130,
} as const;

export const exitCodeOf: Readonly<Record<LabErrorCode, number>> = {
  usage: exitCode.usage,
  'already-up': exitCode.usage,
  'wrong-config': exitCode.fail,
  'not-up': exitCode.fail,
  unhealthy: exitCode.fail,
  capability: exitCode.capability,
  interrupted: exitCode.interrupted,
};
