// What must be done in a container's network so that it becomes its host's of the topology. Pure: looking and doing are elsewhere.

import type { Host, Interface, Route } from '@resplice/topology';

/** As `ip -json address` shows it, the part that counts. */
export interface SeenDevice {
  readonly ifname: string;
  readonly altnames?: readonly string[];
  readonly addr_info: readonly { readonly family: string; readonly local?: string }[];
}

/** As `ip -json route` shows it. */
export interface SeenRoute {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly metrics?: readonly { readonly congestion?: string }[];
}

export interface Plan {
  /** Interfaces whose network the container is not on now. */
  readonly missing: readonly Interface[];
  /** Arguments of ip(8), one command each. */
  readonly commands: readonly (readonly string[])[];
}

function deviceOf({ address }: Interface, devices: readonly SeenDevice[]): SeenDevice | undefined {
  return devices.find(({ addr_info }) => addr_info.some(({ local }) => local === address));
}

/** The engine numbers devices as it connects them: the address alone tells which network one belongs to. */
function nameCommands(each: Interface, devices: readonly SeenDevice[]): string[][] {
  const device = deviceOf(each, devices);
  if (!device || device.altnames?.includes(each.device)) return [];
  return [['link', 'property', 'add', 'dev', device.ifname, 'altname', each.device]];
}

/** Only /24 networks exist here. */
function isOn(address: string, each: Interface): boolean {
  const prefix = (text: string) => text.slice(0, text.lastIndexOf('.'));
  return each.address !== undefined && prefix(each.address) === prefix(address);
}

function stands(route: Route, seen: readonly SeenRoute[]): boolean {
  return seen.some(({ type, dst, gateway, metrics }) => {
    // A single address is shown without its prefix length.
    if (dst !== route.destination && `${dst}/32` !== route.destination) return false;
    if (route.via === 'blackhole') return type === 'blackhole';
    return gateway === route.via && metrics?.[0]?.congestion === route.congestionControl;
  });
}

function routeCommand({ destination, via, congestionControl }: Route): string[] {
  const where = via === 'blackhole' ? ['blackhole', destination] : [destination, 'via', via];
  return ['route', 'replace', ...where, ...(congestionControl ? ['congctl', congestionControl] : [])];
}

/** What is done already is not asked for again, so that following one's own changes comes to an end. */
export function planFor(
  host: Pick<Host, 'interfaces' | 'routes'>,
  devices: readonly SeenDevice[],
  routes: readonly SeenRoute[],
): Plan {
  const present = host.interfaces.filter(each => deviceOf(each, devices));
  const reachable = host.routes.filter(
    ({ via }) => via === 'blackhole' || present.some(each => isOn(via, each)),
  );
  // The engine's own way out would lead packets around the tier.
  const strays = host.routes.some(({ destination }) => destination === 'default')
    ? []
    : routes.filter(({ dst }) => dst === 'default');
  return {
    missing: host.interfaces.filter(each => !present.includes(each)),
    commands: [
      ...present.flatMap(each => nameCommands(each, devices)),
      ...reachable.filter(route => !stands(route, routes)).map(routeCommand),
      ...strays.map(() => ['route', 'del', 'default']),
    ],
  };
}
