// The router between proxies and back ends, where the front-end logger will stand (P5.1): the way back to the clients goes
// over a live proxy, the same one that the balancer picks for the connection. It is also the one that all proxies' packets
// pass, and so the one to fence a proxy that the others go on without.

import { join } from 'node:path';
import {
  buildSteerer,
  ControlChannel,
  type Daemon,
  type Deps,
  type SteererParts,
} from '@resplice/service-kit';
import { Arbiter } from './arbiter.ts';
import type { LoggerConfig } from './config.ts';
import { Fences } from './fences.ts';
import { listenerKey, nextHop, routerExitNames, steering, steeringOffsets } from './layout.generated.ts';

export function buildRouter(config: LoggerConfig, deps: Deps): Promise<Daemon<LoggerConfig>> {
  return buildSteerer(config, deps, {
    objectPath: join(import.meta.dirname, '../bpf/router.bpf.o'),
    program: 'router_back',
    ingress: config.back.device,
    towards: config.middle.device,
    layouts: { steering, steeringOffsets, nextHop, listenerKey, exitNames: routerExitNames },
    state: ['fences'],
    extend: tools => arbitrate(config, deps, tools),
  });
}

/** Answers the proxies' questions about each other. */
async function arbitrate(
  { id, middle, proxies, controlPort }: LoggerConfig,
  { key, epoch, log, metrics }: Deps,
  { object, liveness, upkeep }: Parameters<NonNullable<SteererParts['extend']>>[0],
) {
  const fences = new Fences({ object, device: middle.device, proxies, log });
  upkeep.add('fences', () => fences.look());
  const names = new Map(proxies.map(proxy => [proxy.id, proxy.name]));
  const stateOf = (proxy: number) => liveness.state(names.get(proxy) ?? '');
  const life = {
    isLive: (proxy: number) => stateOf(proxy).live,
    epochOf: (proxy: number) => stateOf(proxy).epoch,
  };
  const arbiter = new Arbiter(
    proxies.map(proxy => proxy.id),
    life,
    fences,
  );
  const counters = { peersSilent: 0, recordsRefused: 0, recordsMalformed: 0, recordsUnexpected: 0 };
  const address = middle.address;
  const channel: ControlChannel = new ControlChannel({
    ...{ key, id, epoch, address, port: controlPort, peers: proxies, counters, log },
    onRecord(from, record, fromEpoch) {
      const knowledge = arbiter.answer(from, fromEpoch, record);
      if (!knowledge || !('id' in record)) {
        counters.recordsUnexpected++;
        return;
      }
      // Those whom it concerns learn from our next answer to their probes that they should ask.
      liveness.setStatus(arbiter.changes);
      channel.send(from, { type: 'answer', id: record.id, knowledge });
    },
  });
  metrics.gauge('fences', 'Proxies that are fenced.', () => fences.all.size);
  metrics.events('control_events_total', 'Control datagrams by what came of them.', counters);
  return {
    status: () => ({ fenced: [...fences.all.keys()].map(proxy => names.get(proxy) ?? `proxy ${proxy}`) }),
    close: () => channel.close(),
  };
}
