// Host and path of a request: one reading for whoever judges a head and whoever routes by it.

import { normalHost } from './host.ts';

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

export interface Place {
  /** Normal (see `normalHost`); `undefined` if the request names none. */
  host: string | undefined;
  /** Without query; `*` for `OPTIONS *`. */
  path: string;
}

const ABSOLUTE = /^http:\/\/([^/?#]*)(.*)$/is;

/** Host and path of a request (RFC 9112 §3.2), or why they are unclear. */
export function placeOf(head: RoutableHead): Place | string {
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
  const authority = parts[1]!;
  const named = normalHost(authority);
  const differs = written !== undefined && (named !== host || portOf(authority) !== portOf(written));
  if (named === undefined || differs) return 'a URL whose host is not Host';
  const rest = parts[2]!;
  return { host: named, path: rest.startsWith('/') ? withoutQuery(rest) : '/' };
}

function portOf(authority: string): number {
  return Number(/:(\d+)$/.exec(authority)?.[1] ?? 80);
}

function withoutQuery(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}
