import type { Lab } from './lab.ts';
import type { SiteFile } from './lab-state.ts';

/**
 * Has the lab follow another file from here on; whoever is told of it is for the caller. The lab's lock must be held.
 * @returns what takes effect at the next `up` only, a sentence each
 */
export function adoptSite({ topology, state }: Lab, { file, rules }: SiteFile): string[] {
  const { limits } = topology.rules;
  const { connections } = rules.limits;
  // The size of a kernel map that is in use.
  const kept = { ...rules.limits, connections: limits.connections };
  state.siteFile = { file, rules: { ...rules, limits: kept } };
  if (connections === limits.connections) return [];
  return [
    `limits.connections: ${connections} takes effect at the next up; until then it stays ${limits.connections}`,
  ];
}
