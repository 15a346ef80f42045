// Runs bcrypt away from the event loop: in pure JavaScript a comparison at cost 10 takes some 50–100 ms.

import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';

export interface Question {
  id: number;
  password: string;
  hash: string;
}

export interface Answer {
  id: number;
  matches: boolean;
}

parentPort?.on('message', ({ id, password, hash }: Question) => {
  let matches = false;
  try {
    matches = compareSync(password, hash);
  } catch {
    // A hash that bcrypt cannot read admits no one.
  }
  parentPort?.postMessage({ id, matches } satisfies Answer);
});
