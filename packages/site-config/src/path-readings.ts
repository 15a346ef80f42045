// One path, as different servers read it.
//
// A route decides by a path's first segments, the back end by what its own parser makes of the same bytes. Whoever
// finds a spelling that both read differently walks past the routes: `/public/..%2fsecret` is below /public to a plain
// comparison and /secret to many servers. So a path is given all readings that servers are known to have, and the
// caller answers 400 unless they lead to one route. Ordinary paths have one reading and cost one look.

/** Characters that may make a second reading. */
const SUSPICIOUS = /[%\\;]|\/\/|\/\.{1,2}(?:\/|$)/;

/** Never read alike: broken escapes (IIS `%u002e`), NUL (C ends there), overlong UTF-8 (`%c0%ae` is a dot to some). */
const HOPELESS = /%(?![0-9a-f]{2})|%00|%c[01]/i;

/** Characters of all readings together, at most: a crafted path must not cost more than milliseconds. */
const BUDGET = 65_536;

/** Each stands alone or after those before it: servers do some of them, in this order. */
const STEPS: readonly ((path: string) => string)[] = [
  // WHATWG URL: `%2e` is a dot where segments are concerned, other escapes stay.
  path => path.replace(/%2e/gi, '.'),
  // Decoders that keep an escaped slash inside its segment.
  path => decode(path, true),
  path => decode(path, false),
  // `%252e`: decoded by a gateway and again by what is behind it.
  path => decode(path, false),
  // Windows, and WHATWG URL.
  path => path.replaceAll('\\', '/'),
  // Servlet containers: `/..;x=1/` is `/../`.
  path => path.replace(/;[^/]*/g, ''),
  path => path.replace(/\/{2,}/g, '/'),
  removeDotSegments,
];

/**
 * All readings of a path, the raw one first.
 *
 * @param path absolute, without query
 * @returns `undefined` if no two servers can be trusted to agree, or if there are too many readings to follow
 */
export function pathReadings(path: string): readonly string[] | undefined {
  if (!SUSPICIOUS.test(path)) return [path];
  if (HOPELESS.test(path)) return undefined;
  const readings = new Set([path]);
  let characters = path.length;
  for (const step of STEPS) {
    for (const reading of [...readings]) {
      const next = step(reading);
      if (readings.has(next)) continue;
      characters += next.length;
      if (characters > BUDGET) return undefined;
      readings.add(next);
    }
  }
  // A second decoding may bring forth what the first look did not see.
  for (const reading of readings) if (reading.includes('\0')) return undefined;
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
