// The balancer (P4.1): steers packets for the VIP to the live proxies.

import { join } from 'node:path';
import { buildSteerer, type Daemon, type Deps } from '@resplice/service-kit';
import type { LbConfig } from './config.ts';
import { lbExitNames, listenerKey, nextHop, steering, steeringOffsets } from './layout.generated.ts';

export function buildLb(config: LbConfig, deps: Deps): Promise<Daemon<LbConfig>> {
  return buildSteerer(config, deps, {
    objectPath: join(import.meta.dirname, '../bpf/lb.bpf.o'),
    program: 'lb_wan',
    ingress: config.wan.device,
    towards: config.front.device,
    layouts: { steering, steeringOffsets, nextHop, listenerKey, exitNames: lbExitNames },
  });
}
