import type { Listener, Pool } from '@resplice/site-config';
import { hostsOf, urlOf } from '@resplice/topology';
import type { PoolStatus } from './daemon-status.ts';
import type { HostInspection } from './inspection.ts';
import type { Lab } from './lab.ts';

export interface ListenerStatus {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  /** Where its requests go. */
  readonly pools: readonly string[];
  /** Networks whose clients are admitted; null: everyone. */
  readonly allow: readonly string[] | null;
}

export interface MemberStatus {
  readonly name: string;
  /** As the proxies see it; `degraded` if they differ, `unknown` if none tells. */
  readonly state: 'up' | 'degraded' | 'down' | 'draining' | 'unknown';
  /** Open ones, of all pools. */
  readonly connections: number;
}

export interface PoolView {
  readonly name: string;
  /** The cookie that keeps a session at one member. */
  readonly affinity: string | null;
  readonly backends: readonly MemberStatus[];
}

export interface SiteStatus {
  /** The `resplice.yaml` that is followed; null: none. */
  readonly siteFile: string | null;
  readonly listeners: readonly ListenerStatus[];
  readonly pools: readonly PoolView[];
}

/** What the lab follows, and how the pools' members are. */
export function siteStatusOf(lab: Lab, inspections: readonly HostInspection[]): SiteStatus {
  const { listeners, pools } = lab.topology.rules;
  const seen = inspections.flatMap(({ processes }) => processes.flatMap(each => each.status?.pools ?? []));
  const { drained } = lab.topology;
  const all = hostsOf(lab.topology, 'backend').map(({ name }) => name);
  return {
    siteFile: lab.state.siteFile?.file ?? null,
    listeners: listeners.map(each => listenerStatus(each, lab.topology.vip.address)),
    pools: Object.entries(pools).map(([name, pool]) => poolView(name, pool, { all, seen, drained })),
  };
}

function listenerStatus({ name, port, pool, routes = [], allow }: Listener, address: string): ListenerStatus {
  const pools = pool === undefined ? routes.map(route => route.pool) : [pool];
  return { name, port, url: urlOf(port, address), pools: [...new Set(pools)], allow: allow ?? null };
}

function poolView(
  name: string,
  pool: Pool,
  { all, seen, drained }: { all: readonly string[]; seen: readonly PoolStatus[]; drained: readonly string[] },
): PoolView {
  const reports = seen.filter(each => each.name === name).flatMap(each => each.backends);
  const members = pool.backends === 'all' ? all : pool.backends;
  const backends = members.map((member): MemberStatus => {
    const own = reports.filter(each => each.name === member);
    return {
      name: member,
      state: drained.includes(member) ? 'draining' : stateOf(own.map(each => each.up)),
      connections: Math.max(0, ...own.map(each => each.active)),
    };
  });
  return { name, affinity: pool.affinity?.cookie ?? null, backends };
}

function stateOf(opinions: readonly boolean[]): MemberStatus['state'] {
  if (opinions.length === 0) return 'unknown';
  if (opinions.every(up => up)) return 'up';
  return opinions.some(up => up) ? 'degraded' : 'down';
}
