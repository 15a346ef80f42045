// Where the containers of a host are plugged in: the other ends of its devices, which are this machine's.

import { command } from '@resplice/engines';
import { isolateOn, type Lab, reuniteOn } from '@resplice/engines/lab';
import type { Host, Interface } from '@resplice/topology';
import type { Project, SeenContainer } from './project.ts';

interface Device {
  readonly ifindex: number;
  readonly ifname: string;
  /** Its other end's number. */
  readonly link_index?: number;
  /** Its MAC. */
  readonly address?: string;
  readonly addr_info?: readonly { readonly local?: string }[];
}

async function devices(namespace?: string): Promise<Device[]> {
  const [file, ...args] = [...(namespace ? ['nsenter', `--net=${namespace}`] : []), 'ip', '-json', 'address'];
  return JSON.parse((await command(file!, args)).stdout) as Device[];
}

export function namespaceOf({ State }: SeenContainer): string {
  return `/proc/${State.Pid}/ns/net`;
}

/** No device is called so: its name is too long. */
const nowhere = 'not-plugged-in-here';

/** The host with the ports and the MACs that it has now: the engine chooses the former, and the latter after a cut. */
async function pluggedIn(host: Host, seen: SeenContainer | undefined): Promise<Host> {
  const own = seen?.State.Running ? await devices(namespaceOf(seen)) : [];
  const ours = await devices();
  const asFound = (each: Interface): Interface => {
    const device = own.find(({ addr_info }) => addr_info?.some(({ local }) => local === each.address));
    const port = ours.find(({ ifindex }) => ifindex === device?.link_index);
    return { ...each, port: port?.ifname ?? nowhere, mac: device?.address ?? each.mac };
  };
  return { ...host, interfaces: host.interfaces.map(asFound) };
}

/** The two hear each other no more, or do again. */
export async function divide(
  how: 'apart' | 'together',
  { topology }: Lab,
  project: Project,
  a: Host,
  b: Host,
): Promise<void> {
  const seen = await project.inspect([a.name, b.name]);
  const [one, other] = await Promise.all([a, b].map(host => pluggedIn(host, seen.get(host.name))));
  await (how === 'apart' ? isolateOn : reuniteOn)({}, topology, one!, other!);
}
