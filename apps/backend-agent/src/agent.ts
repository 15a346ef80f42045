// The back end's half of the splice (P3.2): loads and owns the BPF that translates the server's answers, tells the proxies
// whether the application beside it accepts connections, and tells the application who its clients are.

import { join } from 'node:path';
import { BpfMap, Counters, loadObject, parseIp, u32 } from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';
import { type Daemon, type Deps, keepAttached, startLiveness, Upkeep } from '@resplice/service-kit';
import { AppCheck } from './app-check.ts';
import type { AgentConfig } from './config.ts';
import { IdentityService } from './identity-service.ts';
import { applyKernelSettings } from './kernel-settings.ts';
import {
  agentExitNames,
  binding,
  bindingKey,
  agentConfig as configLayout,
  siphashKey,
} from './layout.generated.ts';
import { writeProxyAddresses } from './proxy-addresses.ts';

const OBJECT = join(import.meta.dirname, '../bpf/agent.bpf.o');

export async function buildAgent(
  config: AgentConfig,
  { log, metrics, key, epoch }: Deps,
): Promise<Daemon<AgentConfig>> {
  let { draining } = config;
  applyKernelSettings(log);
  const object = loadObject(OBJECT, {
    pinDirectory: config.pinDirectory,
    maxEntries: { bindings: config.maxConnections },
    state: ['bindings'],
  });
  metrics.exits(
    'packets_total',
    'Packets by exit of agent_in and agent_out.',
    new Counters(object.map('counters'), agentExitNames),
  );
  const macKey = deriveKey(key, 'splice-syn', 16);
  // Every map is filled before the programs are attached: no packet meets half a configuration.
  writeProxyAddresses(object, config.proxies);
  new BpfMap(object.map('agent_config'), u32, configLayout).set(0, {
    identityKey: siphashKey.read(new DataView(macKey.buffer, macKey.byteOffset), 0),
    address: parseIp(config.address),
  });
  const upkeep = new Upkeep({ log });
  // Ways out first: a connection must not be bound while nothing translates what the server answers.
  keepAttached(upkeep, config.device, 'egress', object.program('agent_out'), log);
  keepAttached(upkeep, config.device, 'ingress', object.program('agent_in'), log);
  object.catchUp();
  const bindings = new BpfMap(object.map('bindings'), bindingKey, binding);
  const identities = new IdentityService(key => bindings.get(key), log);
  await identities.listen(config.identityPort);

  const liveness = await startLiveness({ port: config.probePort, key, self: { id: config.id, epoch } });
  liveness.publish(metrics);
  const ready = (): true | string => {
    const kept = upkeep.ready();
    if (kept !== true) return kept;
    if (draining) return 'is drained: new connections go to others';
    return (
      app.accepting || `the application does not accept connections on ${config.address}:${config.app.port}`
    );
  };
  const say = () => liveness.setReady(app.accepting && !draining);
  const app = new AppCheck({
    address: parseIp(config.address),
    port: config.app.port,
    onChange(accepting) {
      say();
      log.info(
        { accepting, port: config.app.port },
        accepting ? 'application accepts' : 'application does not accept',
      );
    },
  });
  metrics.gauge('app_accepting', '1 while the application accepts connections.', () =>
    app.accepting ? 1 : 0,
  );

  return {
    ready,
    status: () => ({ app: { accepting: app.accepting }, draining }),
    reload(next) {
      ({ draining } = next);
      say();
    },
    async close() {
      app.close();
      await identities.close();
      upkeep.close();
      await liveness.close();
      object.close();
    },
  };
}
