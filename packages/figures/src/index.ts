export { compact, jsonIn } from './kept.ts';
export { describeMachine, type Machine, type Program } from './machine.ts';
export { randomFrom, shuffled } from './shuffle.ts';
export { type Interval, median, medianInterval, quantile, type Spread, spread } from './statistics.ts';
export { columnWidths, markdownTable } from './table.ts';
