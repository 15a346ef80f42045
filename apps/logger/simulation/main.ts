// `node apps/logger/simulation/main.ts [--write | TRACE…]`: what settings of the detector do to servers that are alive, and to those
// that are not. `--write` puts the tables into docs/DETECTION.md; with traces, these are played instead of invented transactions.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { recorded, TraceError } from './recorded.ts';
import { renderDetection, tables } from './tables.ts';

const DOCUMENT = new URL('../../../docs/DETECTION.md', import.meta.url);

const [first, ...others] = process.argv.slice(2);
if (first === '--write' && others.length === 0) {
  writeFileSync(DOCUMENT, renderDetection(readFileSync(DOCUMENT, 'utf8'), tables()));
} else {
  try {
    const traces = first === undefined ? undefined : [first, ...others].map(read);
    console.log(tables(traces));
  } catch (error) {
    const isInput = error instanceof TraceError || (error instanceof Error && 'code' in error);
    if (!isInput) throw error;
    console.error(`simulation: ${error.message}`);
    process.exitCode = 1;
  }
}

function read(path: string) {
  return recorded(basename(path).replace(/\.jsonl?$/, ''), readFileSync(path, 'utf8'));
}
