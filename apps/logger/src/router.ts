// The router between proxies and back ends, where the front-end logger will stand (P5.1): the way back to the clients goes
// over a live proxy, the same one that the balancer picks for the connection.

import { join } from 'node:path';
import { buildSteerer, type Daemon, type Deps } from '@resplice/service-kit';
import type { LoggerConfig } from './config.ts';
import { listenerKey, nextHop, routerExitNames, steering, steeringOffsets } from './layout.generated.ts';

export function buildRouter(config: LoggerConfig, deps: Deps): Promise<Daemon<LoggerConfig>> {
  return buildSteerer(config, deps, {
    objectPath: join(import.meta.dirname, '../bpf/router.bpf.o'),
    program: 'router_back',
    ingress: config.back.device,
    towards: config.middle.device,
    layouts: { steering, steeringOffsets, nextHop, listenerKey, exitNames: routerExitNames },
  });
}
