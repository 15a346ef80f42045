// Uniform listeners: what later requests of a kept-alive connection may do unseen (ARCHITECTURE §2).

import { applicationFieldNames } from './application.ts';
import type { Finding, Path } from './problem.ts';
import type { Listener, Match } from './schema.ts';

/**
 * Whether all requests that a listener admits go to one pool, with no check per request: then only a connection's
 * first head is read, and later ones flow through the kernel. An allow-list is a check per connection.
 * Routes are uniform too if all lead to one pool and the last takes every request: they may carry other things.
 */
export function isUniform(listener: Listener): boolean {
  return reasonsAgainst(listener).length === 0;
}

/**
 * What a listener cannot have, at its path, where no logger reads its later requests.
 *
 * @param why none does, as the end of a sentence
 */
export function refusals(listener: Listener, path: Path, why: string): Finding[] {
  return reasonsAgainst(listener).map(({ field, what, remedy }) => ({
    path: [...path, field],
    sentence: `${listener.name} ${what}; on a kept-alive connection only the logger can enforce that, and ${why}: ${remedy}`,
    atKey: true,
  }));
}

/** What a listener with `protect: false` cannot have, at its path: the logger would enforce it, or follow it. */
export function refusalsOfUnprotected(listener: Listener, path: Path): Finding[] {
  if (listener.protect !== false) return [];
  const holders: [Path, Partial<Record<string, unknown>>][] = [
    [path, listener],
    ...(listener.routes ?? []).map((route, index): [Path, typeof route] => [
      [...path, 'routes', index],
      route,
    ]),
  ];
  const told = holders.flatMap(([at, holder]) =>
    applicationFieldNames
      .filter(field => holder[field] !== undefined)
      .map(field => ({
        path: [...at, field],
        sentence: `tells the logger how to go on with a response, and protect: false leaves it out: remove one of them`,
        atKey: true,
      })),
  );
  return [...refusals(listener, path, 'protect: false leaves it out'), ...told];
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
