import { type DaemonConfig, ports } from './daemon-config.ts';
import { addressOn, type Host } from './host.ts';
import { hostsOf, type Topology } from './topology.ts';

/** As whom the lab asks kits how they are. */
export const observerName = 'status';

/**
 * The JSON that a back end's application finds by `RESPLICE_KIT`, if it has adopted the kit.
 * @param keyFile of the kit's key, 64 hex digits; absolute
 */
export function kitConfig(topology: Topology, host: Host, keyFile: string): DaemonConfig {
  const placeOf = (backend: Host) => ({ address: addressOn(backend, 'back'), port: ports.kit });
  return {
    self: host.name,
    listen: placeOf(host),
    agentPort: ports.identity,
    keyFile,
    members: hostsOf(topology, 'backend').map(each => ({ name: each.name, ...placeOf(each) })),
    loggers: [...hostsOf(topology, 'logger').map(({ name }) => name), observerName],
    site: { listeners: topology.rules.listeners, timeoutClasses: topology.rules.timeoutClasses },
  };
}
