/** Longest first segment that is told apart. */
const LONGEST = 24;

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
