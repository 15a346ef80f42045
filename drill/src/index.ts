export { type Cell, cellsMatching } from './cell.ts';
export type { LabWish } from './lab.ts';
export { type MatrixOptions, type MatrixWatcher, runMatrix } from './matrix.ts';
export { matrixPage } from './page/matrix.ts';
export { LEAST_SENDS, stormPage } from './page/storm.ts';
export type { CellResult, MatrixResult } from './result.ts';
export { runStorm, type StormOptions, type StormResult, type StormWatcher } from './storm/storm.ts';
export { stormSummary, stormTable } from './storm/table.ts';
export { cellLine, summaryLine, textTable } from './table.ts';
