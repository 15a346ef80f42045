// The router between proxies and back ends, where the front-end logger will stand (P5.1): the way back to the clients goes
// over a live proxy, the same one that the balancer picks for the connection.

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
import type { LoggerConfig } from './config.ts';
import {
  listenerKey,
  nextHop,
  routerExitNames,
  steering as steeringLayout,
  steeringOffsets,
} from './layout.generated.ts';

const OBJECT = join(import.meta.dirname, '../bpf/router.bpf.o');

export async function buildRouter(config: LoggerConfig, { log, metrics, key, epoch }: Deps): Promise<Daemon> {
  const object = loadObject(OBJECT, { pinDirectory: config.pinDirectory });
  metrics.exits(
    'packets_total',
    'Packets by exit of router_back.',
    new Counters(object.map('counters'), routerExitNames),
  );
  const steering = new Steering({
    object,
    layouts: { steering: steeringLayout, steeringOffsets, nextHop },
    members: config.proxies,
    device: config.middle.device,
    mode: config.steering,
    key,
  });
  const upkeep = new Upkeep({ log });
  // Every map is filled before the program is attached: no packet meets half a configuration.
  writeListeners(object, listenerKey, config.vips);
  upkeep.add('next hops', () => steering.writeNextHops());
  keepAttached(upkeep, config.back.device, 'ingress', object.program('router_back'), log);

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
