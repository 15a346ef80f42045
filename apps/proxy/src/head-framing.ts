import type { RoutableHead } from '@resplice/site-config';

/**
 * What makes a head's end ambiguous: two programs in a row may then find the end of the request at different places, and one runs
 * what the other never saw (request smuggling; RFC 9112 §6.3, §11.2).
 *
 * @returns what is wrong, for a person; undefined if nothing is
 */
export function framingFlaw({ method, version, fields }: RoutableHead): string | undefined {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  if (lengths.length > 1) return 'more than one Content-Length';
  if (lengths.some(length => !/^\d{1,15}$/.test(length))) return 'Content-Length is not a number';
  if (codings.length > 0) {
    if (lengths.length > 0) return 'both Content-Length and Transfer-Encoding';
    if (version === '1.0') return 'Transfer-Encoding in HTTP/1.0';
    // Whoever does not know another coding finds the end elsewhere.
    if (codings.length > 1 || codings[0]!.toLowerCase() !== 'chunked')
      return 'Transfer-Encoding is not chunked';
  }
  const hasContent = codings.length > 0 || lengths.some(length => Number(length) > 0);
  // Many servers do not read it, and take it for the next request.
  if (hasContent && /^(GET|HEAD)$/.test(method)) return `${method} with content`;
  return undefined;
}

function valuesOf(fields: RoutableHead['fields'], name: string): string[] {
  return fields.filter(field => field.name.toLowerCase() === name).map(field => field.value);
}
