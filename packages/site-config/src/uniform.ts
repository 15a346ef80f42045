// Uniform listeners: what later requests of a kept-alive connection may do unseen (ARCHITECTURE §2).

import type { Finding, Path } from './problem.ts';
import type { Listener, Match, Site } from './schema.ts';

/**
 * Whether all requests that a listener admits go to one pool, with no check per request: then only a connection's
 * first head is read, and later ones flow through the kernel. An allow-list is a check per connection.
 * Routes are uniform too if all lead to one pool and the last takes every request: they may carry other things.
 */
export function isUniform(listener: Listener): boolean {
  return reasonsAgainst(listener).length === 0;
}

/**
 * The sentences that refuse listeners which are not uniform, for as long as nothing enforces their rules on later
 * requests; empty if all are.
 */
export function refuseNonUniform(site: Site): Finding[] {
  return site.listeners.flatMap((listener, index) => refusals(listener, ['listeners', index]));
}

/** `refuseNonUniform` for one listener, at its path. */
export function refusals(listener: Listener, path: Path): Finding[] {
  return reasonsAgainst(listener).map(({ field, what, remedy }) => ({
    path: [...path, field],
    sentence: `${listener.name} ${what}; on a kept-alive connection only a front-end logger can enforce that, and none runs here: ${remedy}`,
    atKey: true,
  }));
}

interface Reason {
  field: 'auth' | 'routes';
  what: string;
  remedy: string;
}

function reasonsAgainst({ auth, routes }: Listener): Reason[] {
  const reasons: Reason[] = [];
  if (auth)
    reasons.push({
      field: 'auth',
      what: 'asks for a password with every request',
      remedy: 'leave passwords to the application, or admit networks with allow',
    });
  if (!routes) return reasons;
  const pools = [...new Set(routes.map(route => route.pool))];
  if (pools.length > 1)
    reasons.push({
      field: 'routes',
      what: `sends requests to ${pools.length} pools (${pools.slice(0, 4).join(', ')}${pools.length > 4 ? ', …' : ''})`,
      remedy: 'give each pool a listener of its own',
    });
  if (!routes.some(({ match }) => isUnconditional(match)))
    reasons.push({
      field: 'routes',
      what: 'answers 404 to requests that no route matches',
      remedy: 'end its routes with one that has no match',
    });
  return reasons;
}

function isUnconditional({ methods, host, pathPrefix, header, cookie }: Match): boolean {
  return !methods && !host && (pathPrefix === undefined || pathPrefix === '/') && !header && !cookie;
}
