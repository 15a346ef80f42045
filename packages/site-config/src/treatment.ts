// What the logger may do with a request when its back end fails (P6.5): a route's own words, else its listener's, else
// what the method implies.

import { DEFAULT_CLASS, DEFAULT_TIMEOUTS, type Journal, type TimeoutClass } from './application.ts';
import type { RoutableHead } from './place.ts';
import { compileRouter } from './router.ts';
import type { Listener, Route, Site } from './schema.ts';

export interface Treatment {
  kind: 'read' | 'update';
  /**
   * `yes`: tagged, so another back end's response is taken for the same where it cannot be compared. `unproven`: nobody
   * said so; what can be compared must be equal, and what cannot must be vouched for by its headers. `no`: a response
   * that has begun cannot be continued by another back end.
   */
  deterministic: 'yes' | 'no' | 'unproven';
  /** Whether it may run again without anybody's knowing whether it ran. */
  idempotent: boolean;
  /** Response headers that may differ, lower case, `date` among them. */
  mask: ReadonlySet<string>;
  timeoutClass: string;
  /** The bounds of that class, ms. */
  timeouts: TimeoutClass;
  /** What another back end can go on from. */
  journal: Journal;
  /** Index of the listener's route; −1: it has none, or none matches, or servers may differ about which. */
  route: number;
}

type Place = Pick<Route, 'tags' | 'mask' | 'timeouts' | 'journal'>;
type Classes = Site['timeoutClasses'];

/**
 * Compiles what is said about a listener's requests.
 *
 * The answers are made once and shared: for a listener without routes a call reads nothing but the method.
 * A head that servers may read differently gets the most careful treatment, since nobody knows which route it takes.
 *
 * @param timeoutClasses the site's
 */
export function compileTreatments(
  listener: Listener,
  timeoutClasses: Classes,
): (head: RoutableHead) => Treatment {
  if (!listener.routes) {
    const only = pairOf(listener, timeoutClasses, -1);
    return ({ method }) => (isSafe(method) ? only.safe : only.other);
  }
  const pairs = listener.routes.map((route, index) =>
    pairOf(
      {
        tags: route.tags ?? listener.tags,
        mask: route.mask ?? listener.mask,
        timeouts: route.timeouts ?? listener.timeouts,
        journal: route.journal ?? listener.journal,
      },
      timeoutClasses,
      index,
    ),
  );
  const careful = pairOf({}, timeoutClasses, -1).other;
  const route = compileRouter(listener);
  return head => {
    const choice = route(head);
    if (choice.kind !== 'pool') return careful;
    const pair = pairs[choice.route]!;
    return isSafe(head.method) ? pair.safe : pair.other;
  };
}

interface Pair {
  safe: Treatment;
  other: Treatment;
}

function pairOf(place: Place, classes: Classes, route: number): Pair {
  return {
    safe: treatment(place, 'read', classes, route),
    other: treatment(place, 'update', classes, route),
  };
}

function treatment(
  { tags = {}, mask = [], timeouts, journal }: Place,
  implied: Treatment['kind'],
  classes: Classes,
  route: number,
): Treatment {
  const kind = tags.kind ?? implied;
  const timeoutClass = timeouts ?? DEFAULT_CLASS;
  return Object.freeze({
    kind,
    deterministic: determinism(tags.deterministic, kind),
    // An idempotent update must be tagged, PUT and DELETE too: what RFC 9110 §9.2.2 asks of them not every application does.
    idempotent: kind === 'read' || (tags.idempotent ?? false),
    mask: new Set(['date', ...mask.map(name => name.toLowerCase())]),
    timeoutClass,
    timeouts: Object.hasOwn(classes, timeoutClass) ? classes[timeoutClass]! : DEFAULT_TIMEOUTS,
    journal: journal ?? 'none',
    route,
  });
}

function determinism(tagged: boolean | undefined, kind: Treatment['kind']): Treatment['deterministic'] {
  if (tagged === undefined) return kind === 'read' ? 'unproven' : 'no';
  return tagged ? 'yes' : 'no';
}

/** Methods that ask for nothing but an answer (RFC 9110 §9.2.1; TRACE is not served by anybody who means well). */
function isSafe(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}
