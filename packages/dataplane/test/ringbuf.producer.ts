/** A worker that makes records: test runs of a program in rounds. */
import { workerData } from 'node:worker_threads';
import { testRun } from '../src/index.ts';
import { frame } from './fixture.ts';

const { fd, rounds, repeat } = workerData as { fd: number; rounds: number; repeat: number };
for (let round = 0; round < rounds; round++) testRun({ name: 'sample_record', fd }, frame(), { repeat });
