// One path, as different servers read it.
//
// A route decides by a path's first segments, the back end by what its own parser makes of the same bytes. Whoever
// finds a spelling that both read differently walks past the routes: `/public/..%2fsecret` is below /public to a plain
// comparison and /secret to many servers. So a path is given all readings that servers are known to have, and the
// caller answers 400 unless they lead to one route. Ordinary paths have one reading and cost one look.

/** Characters that may make a second reading. */
const SUSPICIOUS = /[%\\;]|\/\/|\.(?:\/|$)/;

/**
 * Never read alike: NUL ends a path in C, WHATWG URL drops tabs and line ends, overlong UTF-8 (`%c0%ae`) is a dot to
 * some decoders. Control characters cannot be in a target but as escapes.
 */
const HOPELESS = /%[01][0-9a-f]|%7f|%c[01]/i;
/** Broken escapes, such as IIS's `%u002e`. */
const BROKEN = /%(?![0-9a-f]{2})/i;

/** Characters of all readings together, at most: a crafted path must not cost more than milliseconds. */
const BUDGET = 65_536;

/** What servers do to a path: some of it, some of it twice (a gateway, and what is behind it), in any order. */
const STEPS: readonly ((path: string) => string)[] = [
  removeDotSegments,
  path => path.replace(/\/{2,}/g, '/'),
  // Windows, and WHATWG URL.
  path => path.replaceAll('\\', '/'),
  // Servlet containers: `/..;x=1/` is `/../`.
  path => path.replace(/;[^/]*/g, ''),
  // Windows: a name ends before the dots and spaces at its end.
  path => path.replace(/(?<=[^/. ])[. ]+(?=\/|$)/g, ''),
  // The same by WHATWG URL, once decoded: also `/.. `. (Looking behind keeps a long run from costing its square.)
  path => path.replace(/(?<! ) +(?=\/|$)/g, ''),
  // Read as a target once more, an escaped `?` or `#` ends the path.
  path => path.replace(/[?#].*$/s, ''),
  // WHATWG URL: `%2e` is a dot where segments are concerned, other escapes stay.
  path => path.replace(/%2e/gi, '.'),
  // Decoders that keep an escaped slash inside its segment.
  path => decode(path, true),
  path => decode(path, false),
];

/**
 * All readings of a path, the raw one first.
 *
 * @param path absolute, without query
 * @returns `undefined` if no two servers can be trusted to agree, or if there are too many readings to follow
 */
export function pathReadings(path: string): readonly string[] | undefined {
  if (!SUSPICIOUS.test(path)) return [path];
  if (HOPELESS.test(path) || BROKEN.test(path)) return undefined;
  const readings = new Set([path]);
  let characters = path.length;
  // What is added is visited too, so this ends when no step brings anything new: none makes a path longer.
  for (const reading of readings) {
    for (const step of STEPS) {
      const next = step(reading);
      if (readings.has(next)) continue;
      characters += next.length + 1;
      if (characters > BUDGET || HOPELESS.test(next)) return undefined;
      readings.add(next);
    }
  }
  return [...readings];
}

function decode(path: string, keepSlash: boolean): string {
  if (!path.includes('%')) return path;
  return path.replace(/%([0-9a-f]{2})/gi, (written, digits: string) => {
    const byte = Number.parseInt(digits, 16);
    return keepSlash && (byte === 0x2f || byte === 0x5c) ? written : String.fromCharCode(byte);
  });
}

/** RFC 3986 §5.2.4, for absolute paths. */
function removeDotSegments(path: string): string {
  if (!path.includes('/.')) return path;
  const out: string[] = [];
  const segments = path.split('/');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '.' || segment === '..') {
      if (segment === '..' && out.length > 1) out.pop();
      if (last) out.push('');
    } else {
      out.push(segment);
    }
  }
  return out.join('/');
}
