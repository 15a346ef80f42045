import type { Host, HostProcess, Interface, Role, Route } from './host.ts';
import { addressIn, macOf, type NetworkName, networks, prefixLength } from './network.ts';
import { sysctlsOf } from './sysctls.ts';

/**
 * A host that is plugged into these networks.
 *
 * @param addresses network and last octet of each of its interfaces, 1..254
 * @param held addresses that it holds beside those
 */
export function hostWith(
  role: Role,
  number: number,
  addresses: readonly (readonly [NetworkName, number])[],
  routes: readonly Route[],
  processes: readonly HostProcess[],
  held: readonly string[] = [],
): Host {
  const name = `${role}-${number}`;
  const interfaces = addresses.map(([network, last], index): Interface => {
    const address = addressIn(network, last);
    return {
      device: `${network}0`,
      network,
      address,
      prefixLength,
      mac: macOf(address),
      bridge: networks[network].bridge,
      port: `${name}-${index}`,
    };
  });
  return {
    name,
    role,
    number,
    interfaces,
    held,
    routes,
    sysctls: sysctlsOf(role, held.length > 0),
    processes,
  };
}
