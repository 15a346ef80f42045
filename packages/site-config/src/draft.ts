// What can be made out of a site that may have mistakes: each part that is sound by itself, with its path.
// Rules read drafts, so that one mistake does not hide the others.

import type { z } from 'zod';
import { cidr, name } from './field.ts';
import type { Path } from './problem.ts';
import { basic, type Listener, listener, type Match, match, recovery } from './schema.ts';

/** A sound value and where it was written. */
export interface Part<T> {
  path: Path;
  value: T;
}

export interface DraftRoute {
  path: Path;
  match: Match | undefined;
  pool: Part<string> | undefined;
  timeouts: Part<string> | undefined;
}

export interface DraftListener {
  path: Path;
  /** The listener itself, if all of it is sound. */
  whole: Listener | undefined;
  name: Part<string> | undefined;
  port: Part<number> | undefined;
  pool: Part<string> | undefined;
  /** Whether the fields are there at all, sound or not. */
  hasPool: boolean;
  hasRoutes: boolean;
  routes: DraftRoute[];
  allow: Part<string>[];
  htpasswd: Part<string> | undefined;
  timeouts: Part<string> | undefined;
}

export interface DraftPool {
  path: Path;
  backends: Part<string>[];
}

export interface Draft {
  listeners: DraftListener[];
  /** `undefined` if there is no telling which pools are meant. */
  pools: Map<string, DraftPool> | undefined;
  /** The names of the time-out classes; `undefined` if there is no telling which are meant. */
  timeoutClasses: string[] | undefined;
  requestBytes: number | undefined;
  spillBytes: Part<number> | undefined;
}

export function draftOf(root: unknown): Draft {
  const pools = fields(at(root, 'pools'));
  const classes = at(root, 'timeoutClasses');
  const kept = at(root, 'recovery');
  return {
    listeners: items(at(root, 'listeners')).map((raw, index) => draftListener(raw, ['listeners', index])),
    pools: pools && new Map(pools.map(([key, raw]) => [key, draftPool(raw, ['pools', key])])),
    timeoutClasses: classes === undefined ? [] : fields(classes)?.map(([key]) => key),
    requestBytes: recovery.shape.requestBytes.safeParse(at(kept, 'requestBytes')).data,
    spillBytes: part(recovery.shape.spillBytes, kept, ['recovery'], 'spillBytes'),
  };
}

function draftListener(raw: unknown, path: Path): DraftListener {
  return {
    path,
    whole: listener.safeParse(raw).data,
    name: part(name, raw, path, 'name'),
    port: part(listener.shape.port, raw, path, 'port'),
    pool: part(name, raw, path, 'pool'),
    hasPool: at(raw, 'pool') !== undefined,
    hasRoutes: at(raw, 'routes') !== undefined,
    routes: items(at(raw, 'routes')).map((item, index) => draftRoute(item, [...path, 'routes', index])),
    allow: parts(cidr, at(raw, 'allow'), [...path, 'allow']),
    htpasswd: part(
      basic.shape.htpasswd,
      at(at(raw, 'auth'), 'basic'),
      [...path, 'auth', 'basic'],
      'htpasswd',
    ),
    timeouts: part(name, raw, path, 'timeouts'),
  };
}

function draftRoute(raw: unknown, path: Path): DraftRoute {
  const given = at(raw, 'match');
  const parsed = match.safeParse(given === undefined ? {} : given);
  return {
    path,
    match: typeof raw === 'object' && parsed.success ? parsed.data : undefined,
    pool: part(name, raw, path, 'pool'),
    timeouts: part(name, raw, path, 'timeouts'),
  };
}

function draftPool(raw: unknown, path: Path): DraftPool {
  // The list by itself, so that one bad name does not hide the others.
  return { path, backends: parts(name, at(raw, 'backends'), [...path, 'backends']) };
}

function part<T extends z.ZodType>(
  schema: T,
  raw: unknown,
  path: Path,
  field: string,
): Part<z.output<T>> | undefined {
  const parsed = schema.safeParse(at(raw, field));
  return parsed.success ? { path: [...path, field], value: parsed.data } : undefined;
}

function parts<T extends z.ZodType>(schema: T, raw: unknown, path: Path): Part<z.output<T>>[] {
  return items(raw).flatMap((item, index) => {
    const parsed = schema.safeParse(item);
    return parsed.success ? [{ path: [...path, index], value: parsed.data }] : [];
  });
}

function at(raw: unknown, field: string): unknown {
  if (typeof raw !== 'object' || raw === null || !Object.hasOwn(raw, field)) return undefined;
  return (raw as Record<string, unknown>)[field];
}

function items(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? raw : [];
}

function fields(raw: unknown): [string, unknown][] | undefined {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? Object.entries(raw) : undefined;
}
