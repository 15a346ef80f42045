// Stands beside a server that is not ours in a proxy's place, and answers the balancer's probes for it: ready while the
// server answers. So all arms have the same balancer, which notices their deaths by the same means.

import { type Daemon, type Deps, startLiveness } from '@resplice/service-kit';
import type { ResponderConfig } from './config.ts';
import { ServerCheck } from './server-check.ts';

export async function buildResponder(
  config: ResponderConfig,
  { log, metrics, key, epoch }: Deps,
): Promise<Daemon> {
  const liveness = await startLiveness({ port: config.probePort, key, self: { id: config.id, epoch } });
  liveness.publish(metrics);
  const check = new ServerCheck({
    ...config.server,
    onChange(problem) {
      liveness.setReady(problem === undefined);
      log.info({ problem }, problem === undefined ? 'the server answers' : 'the server does not answer');
    },
  });
  metrics.gauge('server_answering', '1 while the server answers.', () =>
    check.problem === undefined ? 1 : 0,
  );
  return {
    ready: () => check.problem ?? true,
    status: () => ({}),
    async close() {
      check.close();
      await liveness.close();
    },
  };
}
