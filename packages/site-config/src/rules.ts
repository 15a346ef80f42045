// What a schema cannot say: names that refer to one another, and things that must differ.

import { DEFAULT_CLASS } from './application.ts';
import type { Draft, DraftListener, Part } from './draft.ts';
import { containsNetwork, formatNetwork, type Network, readNetwork } from './network.ts';
import { findOverlaps } from './overlap.ts';
import { type Finding, formatPath } from './problem.ts';
import { suggestion } from './suggestion.ts';

/** @param backends every back end of the deployment */
export function applyRules(draft: Draft, backends: readonly string[]): Finding[] {
  return [
    ...draft.listeners.flatMap(leadsSomewhere),
    ...distinct(draft.listeners, 'name'),
    ...distinct(draft.listeners, 'port'),
    ...draft.listeners.flatMap(listener => redundantNetworks(listener.allow)),
    ...draft.listeners.flatMap(findOverlaps),
    ...poolReferences(draft),
    ...backendReferences(draft, backends),
    ...classReferences(draft),
    ...spillRoom(draft),
  ];
}

function leadsSomewhere({ path, hasPool, hasRoutes }: DraftListener): Finding[] {
  if (hasPool && hasRoutes)
    return [
      { path: [...path, 'routes'], sentence: 'cannot stand beside pool: keep one of them', atKey: true },
    ];
  return hasPool || hasRoutes ? [] : [{ path, sentence: 'leads nowhere: give it a pool or routes' }];
}

function distinct(listeners: readonly DraftListener[], field: 'name' | 'port'): Finding[] {
  const first = new Map<string | number, DraftListener>();
  return listeners.flatMap(listener => {
    const part = listener[field];
    if (!part) return [];
    const before = first.get(part.value);
    if (!before) {
      first.set(part.value, listener);
      return [];
    }
    const other = before.name ? ` (${before.name.value})` : '';
    const sentence = `${part.value} is also the ${field} of ${formatPath(before.path)}${field === 'port' ? other : ''}`;
    return [{ path: part.path, sentence }];
  });
}

function redundantNetworks(allow: readonly Part<string>[]): Finding[] {
  const known = allow.flatMap(part => {
    const reading = readNetwork(part.value);
    return 'network' in reading ? [{ part, network: reading.network }] : [];
  });
  // Wide ones first: then whatever holds a network is the latest wide one seen, or none is.
  known.sort((a, b) => a.network.address - b.network.address || a.network.bits - b.network.bits);
  let widest: Network | undefined;
  return known.flatMap(({ part, network }): Finding[] => {
    if (!widest || !containsNetwork(widest, network)) {
      widest = network;
      return [];
    }
    const sentence =
      widest.bits === network.bits
        ? `${part.value} is listed twice`
        : `${part.value} adds nothing: ${formatNetwork(widest)} admits it already`;
    return [{ path: part.path, sentence, severity: 'warning' }];
  });
}

function poolReferences({ listeners, pools }: Draft): Finding[] {
  if (!pools) return [];
  const used = new Set<string>();
  let certain = true;
  const found: Finding[] = [];
  for (const listener of listeners) {
    // A listener that cannot be read might have named any pool.
    if (listener.hasRoutes && listener.routes.length === 0) certain = false;
    const wanted = [
      ...(listener.hasPool ? [listener.pool] : []),
      ...listener.routes.map(route => route.pool),
    ];
    for (const part of wanted) {
      if (!part) certain = false;
      else if (pools.has(part.value)) used.add(part.value);
      else found.push({ path: part.path, sentence: noSuch('pool', part.value, [...pools.keys()]) });
    }
  }
  // A name that does not exist may be a misspelling of the pool that seems unused.
  if (!certain || found.length > 0) return found;
  for (const [name, pool] of pools) {
    if (used.has(name)) continue;
    found.push({ path: pool.path, sentence: 'no listener leads to it', severity: 'warning', atKey: true });
  }
  return found;
}

function backendReferences({ pools }: Draft, backends: readonly string[]): Finding[] {
  const known = new Set(backends);
  return [...(pools?.values() ?? [])].flatMap(pool => {
    const seen = new Set<string>();
    return pool.backends.flatMap(({ path, value }): Finding[] => {
      if (seen.has(value)) return [{ path, sentence: `${value} is listed twice` }];
      seen.add(value);
      return known.has(value) ? [] : [{ path, sentence: noSuch('back end', value, backends) }];
    });
  });
}

function classReferences({ listeners, timeoutClasses }: Draft): Finding[] {
  if (!timeoutClasses) return [];
  const wanted = listeners.flatMap(listener => [listener, ...listener.routes]).map(each => each.timeouts);
  const used = new Set([DEFAULT_CLASS, ...wanted.map(part => part?.value)]);
  const unknown = wanted.flatMap(part => {
    if (!part || part.value === DEFAULT_CLASS || timeoutClasses.includes(part.value)) return [];
    const known = [...new Set([...timeoutClasses, DEFAULT_CLASS])];
    return [{ path: part.path, sentence: noSuch('time-out class', part.value, known) }];
  });
  // A name that does not exist may be a misspelling of the class that seems unused.
  if (unknown.length > 0) return unknown;
  return timeoutClasses
    .filter(each => !used.has(each))
    .map(each => ({
      path: ['timeoutClasses', each],
      sentence: 'no listener or route names it',
      severity: 'warning' as const,
      atKey: true,
    }));
}

function spillRoom({ requestBytes, spillBytes }: Draft): Finding[] {
  if (!spillBytes || requestBytes === undefined) return [];
  if (spillBytes.value === 0 || spillBytes.value >= requestBytes) return [];
  const sentence = `must be 0, or at least requestBytes (${requestBytes})`;
  return [{ path: spillBytes.path, sentence }];
}

function noSuch(noun: string, name: string, known: readonly string[]): string {
  const near = suggestion(name, known);
  if (near !== '') return `there is no ${noun} ${name}${near}`;
  if (known.length === 0) return `there is no ${noun} ${name}, nor any other`;
  const listed = known.slice(0, 8).join(', ');
  return `there is no ${noun} ${name}, only ${listed}${known.length > 8 ? ', …' : ''}`;
}
