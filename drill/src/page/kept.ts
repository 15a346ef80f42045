/** The runs that docs/MATRIX.md shows: the latest whole one of each arm, kept as data beside it. */
import { compact, type Machine } from '@resplice/figures';
import { allCells, nameOf } from '../cell.ts';
import type { MatrixResult } from '../result.ts';

/** A whole run of one arm, and what it was made on. */
export interface KeptRun extends MatrixResult {
  /** ISO 8601. */
  readonly at: string;
  readonly command: string;
  readonly machine: Machine;
}

export interface KeptMatrix {
  readonly version: 1;
  /** One for an arm at most. */
  readonly runs: readonly KeptRun[];
}

/** In which arms are shown. */
const order = ['resplice', 'haproxy', 'nginx', 'forward'];

/** What must be the same of runs that are shown side by side. */
function setting({ machine: { processor, cores, kernel }, link, proxies, backends, site }: KeptRun): string {
  return JSON.stringify([processor, cores, kernel, link, proxies, backends, site]);
}

function checkWhole({ cells }: MatrixResult): void {
  const made = new Set(cells.map(({ cell }) => cell));
  const missing = allCells().find(cell => !made.has(nameOf(cell)));
  if (missing) throw new RangeError(`only whole runs are kept: ${nameOf(missing)} was not made`);
}

/**
 * The earlier runs with this one in the place of its arm's. Nothing is kept from another machine, kernel or topology.
 *
 * @returns what is kept, and the arms that were not
 * @throws RangeError unless the run made every cell
 */
export function withRun(
  earlier: KeptMatrix | undefined,
  run: KeptRun,
): { matrix: KeptMatrix; dropped: string[] } {
  checkWhole(run);
  const others = (earlier?.runs ?? []).filter(({ arm }) => arm !== run.arm);
  const beside = others.filter(other => setting(other) === setting(run));
  const runs = [...beside, run].sort((a, b) => order.indexOf(a.arm) - order.indexOf(b.arm));
  return {
    matrix: { version: 1, runs },
    dropped: others.filter(other => !beside.includes(other)).map(({ arm }) => arm),
  };
}

/** As it stands in docs/matrix.json: a line for a cell, so that two runs can be compared. */
export function matrixJson({ version, runs }: KeptMatrix): string {
  const shown = runs.map(({ cells, ...run }) => {
    const head = JSON.stringify(run, compact).slice(0, -1);
    return `${head},"cells":[\n${cells.map(cell => JSON.stringify(cell, compact)).join(',\n')}\n]}`;
  });
  return `{"version":${version},"runs":[\n${shown.join(',\n')}\n]}\n`;
}

/** @throws Error when it is not one that this version writes */
export function matrixIn(json: string): KeptMatrix {
  const matrix = JSON.parse(json) as KeptMatrix;
  if (matrix.version !== 1)
    throw new Error(`the kept matrix has version ${matrix.version}, this program knows 1`);
  return matrix;
}
