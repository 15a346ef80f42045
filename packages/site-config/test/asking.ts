// Heads, and what a router says to them.

import type { RoutableHead } from '../src/place.ts';
import { compileRouter } from '../src/router.ts';
import { routed, siteOf } from './site.ts';

type Fields = Record<string, string | string[]>;

export function head(target: string, fields: Fields = {}, method = 'GET', version = '1.1'): RoutableHead {
  const all: Fields = { host: 'www.example.com', ...fields };
  const pairs = Object.entries(all).flatMap(([name, value]) =>
    [value].flat().map(one => ({ name, value: one })),
  );
  return { method, target, version, fields: pairs };
}

/** `a`, `b` …, `none` or the reason of a 400. */
export function asking(routes: string) {
  const route = compileRouter(siteOf(routed(routes)).listeners[0]!);
  return (...of: Parameters<typeof head>): string => {
    const choice = route(head(...of));
    if (choice.kind === 'pool') return choice.pool;
    return choice.kind === 'none' ? 'none' : `400 ${choice.reason}`;
  };
}
