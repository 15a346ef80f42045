import { promises } from './fixtures/promises.ts';

promises('tap', { late: 1 });
