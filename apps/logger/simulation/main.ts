// `node apps/logger/simulation/main.ts`: what settings of the detector do to servers that are alive, and to those that are
// not. `--write` puts the tables into docs/DETECTION.md.

import { readFileSync, writeFileSync } from 'node:fs';
import { renderDetection, tables } from './tables.ts';

const DOCUMENT = new URL('../../../docs/DETECTION.md', import.meta.url);

const made = tables();
if (process.argv[2] === '--write')
  writeFileSync(DOCUMENT, renderDetection(readFileSync(DOCUMENT, 'utf8'), made));
else console.log(made);
