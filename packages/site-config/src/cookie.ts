/** Cookies, as RFC 6265 §4.2.1 writes and §5.4 orders them. */

/**
 * The value of a cookie, or `undefined`. Allocates nothing but the value.
 *
 * Of several with one name the first counts: browsers send the one with the longest path first, and to refuse the
 * request would lock out a browser that merely holds an old cookie.
 */
export function cookieValue(header: string, name: string): string | undefined {
  let from = 0;
  while (from < header.length) {
    // Trap: quotes protect nothing, `a="x; session=1"` holds a cookie named session.
    let to = header.indexOf(';', from);
    if (to < 0) to = header.length;
    const begin = skipSpace(header, from, to);
    // Trap: names are compared whole and case matters; `xsession` is another cookie.
    if (header.startsWith(name, begin)) {
      const equals = skipSpace(header, begin + name.length, to);
      if (equals < to && header.charCodeAt(equals) === 0x3d) return header.slice(equals + 1, to).trim();
    }
    from = to + 1;
  }
  return undefined;
}

function skipSpace(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09)) at++;
  return at;
}
