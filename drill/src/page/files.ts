/** docs/MATRIX.md and the data beside it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine, type Program } from '@resplice/figures';
import type { MatrixResult } from '../result.ts';
import { type KeptMatrix, matrixIn, matrixJson, withRun } from './kept.ts';
import { matrixPage } from './page.ts';

const DOCS = join(import.meta.dirname, '../../../docs');

/** Whose version matters, by arm. */
const programs: Readonly<Record<string, readonly Program[]>> = {
  haproxy: [['HAProxy', 'haproxy', '-v']],
  nginx: [['nginx', 'nginx', '-v']],
};

export interface MatrixFiles {
  readonly page: string;
  readonly data: string;
}

function filesIn(directory: string): MatrixFiles {
  return { page: join(directory, 'MATRIX.md'), data: join(directory, 'matrix.json') };
}

/** @returns undefined: no run has been kept yet @throws Error when what is there cannot be read */
export function keptMatrix(directory = DOCS): KeptMatrix | undefined {
  const { data } = filesIn(directory);
  return existsSync(data) ? matrixIn(readFileSync(data, 'utf8')) : undefined;
}

/**
 * Puts a whole run in its arm's place, and renders the page.
 *
 * @param command how it was asked for
 * @returns the files, and the arms whose runs could not stay beside it
 * @throws RangeError unless the run made every cell
 */
export function writeMatrix(
  result: MatrixResult,
  command: string,
  directory = DOCS,
): MatrixFiles & { dropped: string[] } {
  const machine = describeMachine(programs[result.arm] ?? []);
  const run = { ...result, at: new Date().toISOString(), command, machine };
  const { matrix, dropped } = withRun(keptMatrix(directory), run);
  const { page, data } = filesIn(directory);
  writeFileSync(data, matrixJson(matrix));
  writeFileSync(page, matrixPage(matrix));
  return { page, data, dropped };
}
