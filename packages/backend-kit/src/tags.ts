// What an application says of its routes (P6.5), and whether the site says the same: the logger follows the site, the kit the
// routes, and both must agree on what may be run again.

import { compileTreatments, type Treatment } from '@resplice/site-config';
import type { KitConfig } from './config.ts';

export interface RouteTags {
  /** Whether it changes state. Default: GET, HEAD and OPTIONS read, all others update. */
  readonly kind?: 'read' | 'update';
  /** Another back end would answer with the same bytes; such reads are asked nothing, and nothing is kept of them. */
  readonly deterministic?: boolean;
  /** What is left at the alternate before the first byte leaves (P9.2). Default: `response` for updates, `none` for reads. */
  readonly journal?: 'none' | 'response' | 'state';
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How the back-end kit treats the route's requests; absent: as any server would. */
    txn?: RouteTags;
  }
}

export interface Treated {
  readonly kind: 'read' | 'update';
  readonly deterministic: boolean | undefined;
  readonly journal: 'none' | 'response' | 'state';
  /** Whether requests are given a name that another back end gives them too. */
  readonly isKnown: boolean;
}

export interface TaggedRoute {
  readonly method: string;
  readonly url: string;
  readonly tags: RouteTags | undefined;
}

function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

/** Tags with what is absent filled in. */
export function treat({ method, tags }: TaggedRoute): Treated {
  const kind = tags?.kind ?? (isSafe(method) ? 'read' : 'update');
  if (tags === undefined) return { kind, deterministic: undefined, journal: 'none', isKnown: false };
  const { deterministic, journal = kind === 'update' ? 'response' : 'none' } = tags;
  const isKnown = journal !== 'none' || kind === 'update' || deterministic !== true;
  return { kind, deterministic, journal, isKnown };
}

/** Routes whose tags contradict themselves or the site's: a sentence each. */
export function contradictions(routes: readonly TaggedRoute[], site: KitConfig['site']): string[] {
  return routes.flatMap(route => {
    const own = ofItself(route);
    if (own !== undefined || site === undefined) return own ?? [];
    return site.listeners.flatMap(listener => {
      const treatment = compileTreatments(
        listener,
        site.timeoutClasses,
      )({
        method: route.method,
        target: exampleOf(route.url),
        version: '1.1',
        fields: [{ name: 'host', value: 'example' }],
      });
      const difference = differenceOf(treat(route), treatment);
      if (difference === undefined) return [];
      const place = treatment.route < 0 ? '' : `, route ${treatment.route + 1}`;
      return `${route.method} ${route.url}: ${difference}: make the route's config.txn and listener ${listener.name}${place} of resplice.yaml agree`;
    });
  });
}

function ofItself(route: TaggedRoute): string | undefined {
  const { deterministic, journal } = treat(route);
  if (deterministic === true && journal !== 'none') {
    return `${route.method} ${route.url}: is deterministic, so nothing need be kept of it: leave journal or deterministic out`;
  }
  return undefined;
}

function differenceOf(ours: Treated, theirs: Treatment): string | undefined {
  if (ours.journal !== theirs.journal) return `has journal ${ours.journal} here and ${theirs.journal} there`;
  if (ours.kind !== theirs.kind)
    return `is an ${ours.kind} here and an ${theirs.kind} there`.replaceAll('an read', 'a read');
  const theirWord = { yes: true, no: false, unproven: undefined }[theirs.deterministic];
  if (ours.deterministic === undefined || theirWord === undefined || ours.deterministic === theirWord)
    return undefined;
  return `is ${ours.deterministic ? '' : 'not '}deterministic here and the opposite there`;
}

/** A path that the route serves: `/draft/:key` → `/draft/x`. */
function exampleOf(url: string): string {
  return url.replaceAll(/:\w+(\([^)]*\))?\??/g, 'x').replaceAll('*', 'x');
}
