// A link as a program of the lab: it stands while this process lives, and dies visibly with it.

import type { Daemon, Deps } from '@resplice/service-kit';
import type { LinkCounters } from './backend.ts';
import type { LinkConfig } from './config.ts';
import { putLink } from './link.ts';

/** How old the counters may be that metrics show, ms: reading the kernel's costs two processes. */
const COUNTERS_MS = 500;

export async function buildLink(config: LinkConfig, { log, metrics, fail }: Deps): Promise<Daemon> {
  const { near, far, shape, seed } = config;
  const link = await putLink({ near, far, shape, ...(seed === undefined ? {} : { seed }) });
  link.died.catch(fail);
  log.info({ emulator: link.emulator, seed: link.seed, shape: link.shape }, 'the link stands');

  let counters: LinkCounters = await link.counters();
  const timer = setInterval(() => {
    link.counters().then(now => {
      counters = now;
    }, fail);
  }, COUNTERS_MS);
  timer.unref();
  const directions = ['there', 'back'] as const;
  metrics.totals('packets_total', 'Packets by direction and fate.', ['direction', 'fate'], () =>
    directions.flatMap(direction => {
      const { offered, delivered, droppedByQueue, droppedByLoss } = counters[direction];
      const fates = { offered, delivered, dropped_by_queue: droppedByQueue, dropped_by_loss: droppedByLoss };
      return Object.entries(fates).map(([fate, count]): [Record<string, string>, number] => [
        { direction, fate },
        count,
      ]);
    }),
  );
  metrics.totals('bytes_total', 'Bytes delivered, by direction.', ['direction'], () =>
    directions.map(direction => [{ direction }, counters[direction].deliveredBytes]),
  );

  return {
    ready: () => true,
    status: () => ({ emulator: link.emulator, seed: link.seed, shape: link.shape, counters }),
    async close() {
      clearInterval(timer);
      await link.remove();
    },
  };
}
