/**
 * What makes a head ambiguous: two programs in a row may then find the end of the request, or its host, at different places, and one
 * runs what the other never saw (request smuggling; RFC 9112 §6.3, §11.2).
 *
 * @param lines the head's lines; the first is the request line, the others are well-formed fields
 * @returns what is wrong, for a person; undefined if nothing is
 */
export function framingFlaw(
  request: { method: string; target: string; http11: boolean },
  lines: readonly string[],
): string | undefined {
  const lengths: string[] = [];
  const codings: string[] = [];
  const hosts: string[] = [];
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(':');
    const value = () => line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    switch (line.slice(0, colon).toLowerCase()) {
      case 'content-length':
        lengths.push(value());
        break;
      case 'transfer-encoding':
        codings.push(value());
        break;
      case 'host':
        hosts.push(value());
        break;
    }
  }
  if (lengths.length > 1) return 'more than one Content-Length';
  if (lengths.some(length => !/^\d{1,15}$/.test(length))) return 'Content-Length is not a number';
  if (codings.length > 0) {
    if (lengths.length > 0) return 'both Content-Length and Transfer-Encoding';
    if (!request.http11) return 'Transfer-Encoding in HTTP/1.0';
    // Whoever does not know another coding finds the end elsewhere.
    if (codings.length > 1 || codings[0]!.toLowerCase() !== 'chunked')
      return 'Transfer-Encoding is not chunked';
  }
  const hasContent = codings.length > 0 || lengths.some(length => Number(length) > 0);
  // Many servers do not read it, and take it for the next request.
  if (hasContent && /^(GET|HEAD)$/.test(request.method)) return `${request.method} with content`;
  return hostFlaw(request, hosts);
}

function hostFlaw(request: { method: string; target: string; http11: boolean }, hosts: readonly string[]) {
  if (hosts.length > 1) return 'more than one Host';
  if (request.http11 && hosts.length === 0) return 'no Host';
  const host = hosts[0];
  if (host !== undefined && /[\s,/@\\?#]/.test(host)) return 'malformed Host';
  if (request.target.startsWith('/')) return undefined;
  if (request.target === '*') return request.method === 'OPTIONS' ? undefined : 'asterisk without OPTIONS';
  if (request.method === 'CONNECT') return 'CONNECT';
  // Absolute form (RFC 9112 §3.2.2): a server must believe the target, a router may have believed Host.
  const authority = /^https?:\/\/([^/?#]*)/i.exec(request.target)?.[1];
  if (authority === undefined) return 'malformed request target';
  if (host !== undefined && authority.toLowerCase() !== host.toLowerCase()) return 'target and Host differ';
  return undefined;
}
