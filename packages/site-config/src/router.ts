// Which pool a request goes to. Compiled once for a listener, asked once for a request.

import { cookieValue } from './cookie.ts';
import { compileHost } from './host.ts';
import { pathReadings } from './path-readings.ts';
import { placeOf, type RoutableHead } from './place.ts';
import type { Listener, Route } from './schema.ts';

export type RouteChoice =
  /** `route` is the route's index, −1 for a listener without. */
  | { kind: 'pool'; pool: string; route: number }
  /** No route matches: 404. */
  | { kind: 'none' }
  /** Servers may read this head differently, so none is given it: 400. */
  | { kind: 'unclear'; reason: string };

export type Router = (head: RoutableHead) => RouteChoice;

const NONE: RouteChoice = Object.freeze({ kind: 'none' });

/** Compiles a listener's routing; allocates next to nothing for an ordinary request. */
export function compileRouter(listener: Listener): Router {
  const { routes, pool } = listener;
  if (!routes) {
    const only: RouteChoice = Object.freeze({ kind: 'pool', pool: pool!, route: -1 });
    return () => only;
  }
  const steps = routes.map(compileStep);
  const byPath = steps.some(step => step.prefix !== '');
  const headers = [...new Set(steps.flatMap(step => step.header?.name ?? []))];
  return head => {
    const place = placeOf(head);
    if (typeof place === 'string') return unclear(place);
    const twofold = headers.find(name => isTwofold(head, name));
    if (twofold !== undefined) return unclear(`${twofold} is there twice, with different values`);
    const { host, path } = place;
    if (!byPath) return choose(steps, head, host, path);
    const readings = pathReadings(path);
    if (!readings) return unclear('path with escapes that servers read differently');
    const choice = choose(steps, head, host, path);
    for (let i = 1; i < readings.length; i++) {
      if (choose(steps, head, host, readings[i]!) !== choice)
        return unclear('path that leads elsewhere when read differently');
    }
    return choice;
  };
}

/** `compileRouter` for a single question; a proxy keeps the router instead. */
export function chooseRoute(listener: Listener, head: RoutableHead): RouteChoice {
  return compileRouter(listener)(head);
}

interface Step {
  choice: RouteChoice;
  methods: readonly string[] | undefined;
  host: ((host: string | undefined) => boolean) | undefined;
  /** Without a slash at its end; empty for every path. */
  prefix: string;
  header: { name: string; value: string | undefined } | undefined;
  cookie: { name: string; value: string | undefined } | undefined;
}

function compileStep({ match, pool }: Route, route: number): Step {
  const { methods, host, pathPrefix, header, cookie } = match;
  return {
    choice: Object.freeze({ kind: 'pool', pool, route }),
    methods,
    host: host === undefined ? undefined : compileHost(host),
    prefix: (pathPrefix ?? '').replace(/\/$/, ''),
    header: header && { name: canonicalName(header.name), value: header.value },
    cookie: cookie && { name: cookie.name, value: cookie.value },
  };
}

function choose(
  steps: readonly Step[],
  head: RoutableHead,
  host: string | undefined,
  path: string,
): RouteChoice {
  for (const step of steps) {
    if (step.methods && !step.methods.includes(head.method)) continue;
    if (step.host && !step.host(host)) continue;
    if (!hasPrefix(path, step.prefix)) continue;
    if (step.header && !hasHeader(head, step.header.name, step.header.value)) continue;
    if (step.cookie && !hasCookie(head, step.cookie.name, step.cookie.value)) continue;
    return step.choice;
  }
  return NONE;
}

/** Trap: at a segment's end only, else /api would take /apiary too. */
function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || prefix === '' || path.charCodeAt(prefix.length) === 0x2f;
}

/**
 * Trap: CGI and WSGI turn both `X-Canary` and `X_Canary` into HTTP_X_CANARY; a head may carry one for us and one for
 * the application.
 */
function canonicalName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

function isNamed(fieldName: string, name: string): boolean {
  return fieldName.length === name.length && canonicalName(fieldName) === name;
}

/** Trap: of a repeated field some servers take the first, some the last, some all of them joined. */
function isTwofold({ fields }: RoutableHead, name: string): boolean {
  let first: string | undefined;
  for (const field of fields) {
    if (!isNamed(field.name, name)) continue;
    if (first !== undefined && field.value !== first) return true;
    first = field.value;
  }
  return false;
}

function hasHeader({ fields }: RoutableHead, name: string, value: string | undefined): boolean {
  for (const field of fields)
    if (isNamed(field.name, name) && (value === undefined || field.value === value)) return true;
  return false;
}

function hasCookie({ fields }: RoutableHead, name: string, value: string | undefined): boolean {
  for (const field of fields) {
    if (field.name.length !== 6 || field.name.toLowerCase() !== 'cookie') continue;
    const found = cookieValue(field.value, name);
    // The first cookie of that name decides, as in a single field.
    if (found !== undefined) return value === undefined || found === value;
  }
  return false;
}

function unclear(reason: string): RouteChoice {
  return { kind: 'unclear', reason };
}
