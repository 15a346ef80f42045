import { latin1 } from '../http/head-fields.ts';

const SLASH = 0x2f;
const QUESTION = 0x3f;
/** Longest first segment that is told apart. */
const LONGEST = 24;

/** Where a request's target lies. */
export interface Target {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

/** What of a treatment tells its class. */
export interface ClassTraits {
  readonly kind: string;
  /** Index of the listener's route, −1: none. */
  readonly route: number;
}

/**
 * The class of a request whose time-outs are learnt together: listener, kind, route, first segment of its path.
 *
 * A segment that looks like a number or a key (more digits than letters, long, escaped) is not told apart from others of that sort,
 * or every one would be a class of its own.
 *
 * @param target as the client wrote it
 */
export function requestClass(listener: string, { kind, route }: ClassTraits, target: string): string {
  return `${listener} ${kind} ${route} ${firstSegment(target)}`;
}

/** So many names are at hand at once. */
const NAMES = 256;

interface Known {
  readonly name: string;
  readonly port: number;
  readonly kind: string;
  readonly route: number;
  /** The target's first byte, which is a slash, to the last one of its first segment. */
  readonly beginning: string;
}

/**
 * The names of request classes, as {@link requestClass} makes them. Most requests are of few classes: their names are found by the
 * bytes of the target, so that no string is made for each request, hashed, and thrown away.
 */
export class RequestClasses {
  readonly #known: (Known | undefined)[] = Array.from({ length: NAMES }, () => undefined);

  /** @param port of the listener */
  of(port: number, traits: ClassTraits, { bytes, from, to }: Target): string {
    // A segment that is longer is not told apart, nor is one with an escape.
    const most = Math.min(to, from + LONGEST + 2);
    let end = from;
    let hash = port + traits.route + traits.kind.length;
    for (; end < most; end++) {
      const byte = bytes[end]!;
      if ((byte === SLASH && end > from) || byte === QUESTION) break;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const place = hash & (NAMES - 1);
    const known = this.#known[place];
    const { kind, route } = traits;
    if (known && known.port === port && known.kind === kind && known.route === route)
      if (says(bytes, from, end, known.beginning)) return known.name;
    const name = requestClass(String(port), traits, latin1(bytes, from, to));
    const beginning = latin1(bytes, from, end);
    if (beginning.startsWith('/')) this.#known[place] = { name, port, kind, route, beginning };
    return name;
  }
}

function says(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
}

function firstSegment(target: string): string {
  const begin = target.startsWith('/') ? 1 : afterAuthority(target);
  let end = begin;
  let digits = 0;
  for (; end < target.length; end++) {
    const character = target.charCodeAt(end);
    if (character === 0x2f || character === 0x3f) break;
    if (end - begin >= LONGEST || character === 0x25) return '*';
    if (character >= 0x30 && character <= 0x39) digits++;
  }
  return digits * 2 > end - begin ? '*' : target.slice(begin, end);
}

/** Of `http://host/path`, where the path's first segment begins. */
function afterAuthority(target: string): number {
  const scheme = target.indexOf('://');
  const slash = scheme < 0 ? -1 : target.indexOf('/', scheme + 3);
  return slash < 0 ? target.length : slash + 1;
}
