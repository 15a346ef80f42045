// Routes that are never reached, and routes whose order decides without anybody having said so.

import type { DraftListener, DraftRoute } from './draft.ts';
import { type Finding, formatPath } from './problem.ts';
import type { Match } from './schema.ts';

/** Beyond this many routes they are not compared: the work is quadratic for routes never reached, cubic for overlaps. */
const MOST_COVERED = 2000;
const MOST_RIVALS = 200;

/**
 * Warnings for a listener's routes.
 *
 * *Never reached*: one earlier route takes all that it matches (several together are not looked for).
 * *Overlap*: method, host and path alone decide both routes, neither holds the other, they lead to different pools, and no
 * earlier route takes what they share. Conditions on headers and cookies are exceptions by intent.
 */
export function findOverlaps({ routes }: DraftListener): Finding[] {
  if (routes.length > MOST_COVERED) return [];
  const found: Finding[] = [];
  for (const [index, route] of routes.entries()) {
    if (!route.match) continue;
    const earlier = routes.slice(0, index);
    const cover = earlier.find(other => other.match && covers(other.match, route.match!));
    if (cover) {
      const sentence = `is never reached: ${formatPath(cover.path)} takes every request that it matches`;
      found.push({ path: route.path, sentence, severity: 'warning' });
      continue;
    }
    if (routes.length > MOST_RIVALS) continue;
    const rival = earlier.find((other, at) => isRival(other, route, earlier.slice(0, at)));
    if (!rival) continue;
    const sentence = `requests that ${formatPath(rival.path)} matches too go to ${rival.pool?.value}, because it stands first; put a route for what they share before both, or swap them`;
    found.push({ path: route.path, sentence, severity: 'warning' });
  }
  return found;
}

function isRival(other: DraftRoute, route: DraftRoute, before: readonly DraftRoute[]): boolean {
  if (!other.match || !route.match || other.pool?.value === route.pool?.value) return false;
  // The special case before the general one is what order is for.
  if (covers(route.match, other.match)) return false;
  const shared = intersection(other.match, route.match);
  return shared !== undefined && !before.some(({ match }) => match && covers(match, shared));
}

/** Whether every request that `b` matches is matched by `a`. */
export function covers(a: Match, b: Match): boolean {
  return (
    coversMethods(a.methods, b.methods) &&
    coversHost(a.host, b.host) &&
    coversPath(a.pathPrefix, b.pathPrefix) &&
    coversPair(a.header, b.header, sameHeader) &&
    coversPair(a.cookie, b.cookie, sameCookie)
  );
}

/** What both match, if method, host and path alone decide; `undefined` if nothing is shared. */
function intersection(a: Match, b: Match): Match | undefined {
  if (a.header || b.header || a.cookie || b.cookie) return undefined;
  const host = narrower(a.host, b.host, coversHost);
  const pathPrefix = narrower(a.pathPrefix, b.pathPrefix, coversPath);
  if (!host || !pathPrefix) return undefined;
  const methods =
    a.methods && b.methods
      ? a.methods.filter(method => b.methods!.includes(method))
      : (a.methods ?? b.methods);
  if (methods?.length === 0) return undefined;
  return { methods, host: host.value, pathPrefix: pathPrefix.value };
}

type Condition = string | undefined;

/** Hosts and paths form trees: either one holds the other, or they share nothing. */
function narrower(a: Condition, b: Condition, covers: (a: Condition, b: Condition) => boolean) {
  if (covers(a, b)) return { value: b };
  if (covers(b, a)) return { value: a };
  return undefined;
}

function coversMethods(a: Match['methods'], b: Match['methods']): boolean {
  return !a || (b?.every(method => a.includes(method)) ?? false);
}

function coversHost(a: Condition, b: Condition): boolean {
  if (a === undefined) return true;
  if (b === undefined) return false;
  if (a === b) return true;
  if (!a.startsWith('*')) return false;
  return (b.startsWith('*') ? b.slice(1) : b).endsWith(a.slice(1));
}

function coversPath(a: Condition, b: Condition): boolean {
  const outer = (a ?? '/').replace(/\/$/, '');
  const inner = (b ?? '/').replace(/\/$/, '');
  return inner === outer || inner.startsWith(`${outer}/`);
}

interface Pair {
  name: string;
  value?: string | undefined;
}

function coversPair(a: Pair | undefined, b: Pair | undefined, same: (a: Pair, b: Pair) => boolean): boolean {
  if (!a) return true;
  return b !== undefined && same(a, b) && (a.value === undefined || a.value === b.value);
}

function sameHeader(a: Pair, b: Pair): boolean {
  return a.name.toLowerCase() === b.name.toLowerCase();
}

function sameCookie(a: Pair, b: Pair): boolean {
  return a.name === b.name;
}
