import { parseArgs } from 'node:util';
import { buildTopology, type Topology, type TopologyOptions } from '@resplice/topology';

/** What a compose file is made for. */
export interface Deployment {
  readonly proxies: number;
  readonly backends: number;
  readonly site: 'webmail' | 'demo';
}

/** What of it changes while it runs. */
export interface Settings {
  /** Proxies and back ends that are to be empty. */
  readonly drained: readonly string[];
  /** Listeners, pools and limits; absent: the site's own. */
  readonly rules?: TopologyOptions['rules'];
}

export const usualDeployment: Deployment = { proxies: 2, backends: 2, site: 'webmail' };
export const plainSettings: Settings = { drained: [] };

/** The balancer's own address is the VIP: an engine can publish no other. */
export function topologyFor(deployment: Deployment, settings: Settings = plainSettings): Topology {
  return buildTopology({ ...deployment, ...settings, vip: 'balancer' });
}

/** As {@link deploymentFrom} reads them. */
export function argumentsOf({ proxies, backends, site }: Deployment): string[] {
  return ['--proxies', String(proxies), '--backends', String(backends), '--site', site];
}

/** @throws RangeError naming the argument that is wrong */
export function deploymentFrom(args: readonly string[]): Deployment {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...args], options: { proxies: text, backends: text, site: text } });
  const count = (name: 'proxies' | 'backends'): number => {
    const value = Number(values[name] ?? usualDeployment[name]);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`--${name}: "${values[name]}" is no count`);
  };
  const site = values.site ?? usualDeployment.site;
  if (site !== 'webmail' && site !== 'demo') {
    throw new RangeError(`--site: "${site}" is neither webmail nor demo`);
  }
  return { proxies: count('proxies'), backends: count('backends'), site };
}
