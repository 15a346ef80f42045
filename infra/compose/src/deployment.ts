import { buildTopology, type Topology } from '@resplice/topology';

/** What a compose file is made for; its services hand it on to every container, which builds the same topology from it. */
export interface Deployment {
  readonly proxies: number;
  readonly backends: number;
  readonly site: 'webmail' | 'demo';
}

export const usualDeployment: Deployment = { proxies: 2, backends: 2, site: 'webmail' };

/** The balancer's own address is the VIP: an engine can publish no other. */
export function topologyFor(deployment: Deployment): Topology {
  return buildTopology({ ...deployment, vip: 'balancer' });
}

const names = { proxies: 'RESPLICE_PROXIES', backends: 'RESPLICE_BACKENDS', site: 'RESPLICE_SITE' } as const;

export function environmentOf({ proxies, backends, site }: Deployment): Record<string, string> {
  return { [names.proxies]: String(proxies), [names.backends]: String(backends), [names.site]: site };
}

/** @throws RangeError naming the variable that is wrong */
export function deploymentIn(environment: NodeJS.ProcessEnv): Deployment {
  const count = (name: string): number => {
    const value = Number(environment[name]);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`${name}: "${environment[name] ?? ''}" is no count`);
  };
  const site = environment[names.site];
  if (site !== 'webmail' && site !== 'demo') {
    throw new RangeError(`${names.site}: "${site ?? ''}" is neither webmail nor demo`);
  }
  return { proxies: count(names.proxies), backends: count(names.backends), site };
}
