// For tests of daemons, ours and the apps'.

import { join } from 'node:path';

export * from './network.ts';
export * from './process.ts';
export * from './readme.ts';
export * from './until.ts';

/** Script of a stand-in for a proxy; its arguments stand in it. */
export const FAKE_PROXY = join(import.meta.dirname, 'fake-proxy.ts');

/** Script that probes one target; its arguments stand in it. */
export const WATCHER = join(import.meta.dirname, 'watcher.ts');
