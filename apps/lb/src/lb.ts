// The balancer (P4.1): loads the BPF program that steers packets for the VIP, and keeps its table to the live proxies.

import { join } from 'node:path';
import { Counters, loadObject } from '@resplice/dataplane';
import {
  type Daemon,
  type Deps,
  keepAttached,
  ProxyWatch,
  Steering,
  startLiveness,
  Upkeep,
  writeListeners,
} from '@resplice/service-kit';
import type { LbConfig } from './config.ts';
import {
  lbExitNames,
  listenerKey,
  nextHop,
  steering as steeringLayout,
  steeringOffsets,
} from './layout.generated.ts';

const OBJECT = join(import.meta.dirname, '../bpf/lb.bpf.o');

export async function buildLb(config: LbConfig, { log, metrics, key, epoch }: Deps): Promise<Daemon> {
  const object = loadObject(OBJECT, { pinDirectory: config.pinDirectory });
  metrics.exits(
    'packets_total',
    'Packets by exit of lb_wan.',
    new Counters(object.map('counters'), lbExitNames),
  );
  const steering = new Steering({
    object,
    layouts: { steering: steeringLayout, steeringOffsets, nextHop },
    members: config.proxies,
    device: config.front.device,
    mode: config.steering,
    key,
  });
  const upkeep = new Upkeep({ log });
  // Every map is filled before the program is attached: no packet meets half a configuration.
  writeListeners(object, listenerKey, config.vips);
  upkeep.add('next hops', () => steering.writeNextHops());
  keepAttached(upkeep, config.wan.device, 'ingress', object.program('lb_wan'), log);

  const liveness = await startLiveness({
    port: config.probePort,
    key,
    self: { id: config.id, epoch },
    targets: config.proxies.map(proxy => ({ ...proxy, port: config.probePort, ...config.probe })),
  });
  const watch = new ProxyWatch({ liveness, steering, log, metrics });
  await watch.begin();
  liveness.setReady(true);

  return {
    ready() {
      const kept = upkeep.ready();
      return kept === true ? watch.ready() : kept;
    },
    status: () => watch.status(),
    async close() {
      upkeep.close();
      await liveness.close();
      object.close();
    },
  };
}
