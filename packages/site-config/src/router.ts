// Which pool a request goes to. Compiled once for a listener, asked once for a request.

import { cookieValue } from './cookie.ts';
import { compileHost, normalHost } from './host.ts';
import { pathReadings } from './path-readings.ts';
import type { Listener, Route } from './schema.ts';

/** What a head's parser knows; RFC 9112's grammar was checked there. */
export interface RoutableHead {
  method: string;
  /** As sent: `/path?query`, `http://host/path`, `*`. */
  target: string;
  /** `1.0` or `1.1`. */
  version: string;
  /** Fields in the order of the head, values without surrounding white space. */
  fields: readonly { readonly name: string; readonly value: string }[];
}

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
  host: ((host: string | undefined) => boolean) | undefined;
  /** Without a slash at its end; empty for every path. */
  prefix: string;
  header: { name: string; value: string | undefined } | undefined;
  cookie: { name: string; value: string | undefined } | undefined;
}

function compileStep({ match, pool }: Route, route: number): Step {
  const { host, pathPrefix, header, cookie } = match;
  return {
    choice: Object.freeze({ kind: 'pool', pool, route }),
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

interface Place {
  host: string | undefined;
  path: string;
}

const ABSOLUTE = /^http:\/\/([^/?#]*)(.*)$/is;

/** Host and path of a request (RFC 9112 §3.2), or why they are unclear. */
function placeOf(head: RoutableHead): Place | string {
  const { target, fields } = head;
  let written: string | undefined;
  for (const field of fields) {
    if (field.name.length !== 4 || field.name.toLowerCase() !== 'host') continue;
    // Trap: the first for one server, the last for another (RFC 9112 §3.2: 400).
    if (written !== undefined) return 'more than one Host';
    written = field.value;
  }
  if (written === undefined && head.version !== '1.0') return 'no Host';
  // HTTP/1.1 allows an empty Host where a target has no authority; no route can mean it.
  const host = written === undefined || written === '' ? undefined : normalHost(written);
  if (host === undefined && written) return 'a Host that servers read differently';
  // Trap: a server may cut at `#`, which no request target may hold.
  if (target.includes('#')) return 'a target with a fragment';
  if (target.startsWith('/')) return { host, path: withoutQuery(target) };
  // For OPTIONS only: about the server, not about a path. Routes with a prefix do not match it.
  if (target === '*' && head.method === 'OPTIONS') return { host, path: '*' };
  const parts = ABSOLUTE.exec(target);
  if (!parts) return 'a target that is neither a path nor an http URL';
  // Trap: by RFC 9112 §3.2.2 the URL's host counts, and servers exist that look at Host alone.
  const named = normalHost(parts[1]!);
  if (named === undefined || (written !== undefined && named !== host)) return 'a URL whose host is not Host';
  const rest = parts[2]!;
  return { host: named, path: rest.startsWith('/') ? withoutQuery(rest) : '/' };
}

function withoutQuery(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

function unclear(reason: string): RouteChoice {
  return { kind: 'unclear', reason };
}
