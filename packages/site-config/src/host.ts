// Hosts: as a client writes them (Host, absolute-form targets) and as a route matches them.

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const PATTERN = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);
const WRITTEN = /^([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d{0,5}))?$/i;

/** Whether a route may name it: `www.example.com` or `*.example.com`, lower case, no port, no dot at the end. */
export function isHostPattern(text: string): boolean {
  return text.length <= 253 && PATTERN.test(text);
}

/**
 * The host that a Host field or an authority names: lower case, without port and without the root's dot.
 *
 * @returns `undefined` if servers may read it differently: user information (`good@evil`), lists, white space, two
 * dots at the end, an empty host, a port above 65535
 */
export function normalHost(written: string): string | undefined {
  const parts = WRITTEN.exec(written);
  if (!parts || Number(parts[2] ?? 0) > 65_535) return undefined;
  let host = parts[1]!.toLowerCase();
  // Trap: `secret.example.` is the same host to DNS and to many servers, another one to a plain comparison.
  if (host.endsWith('.')) host = host.slice(0, -1);
  if (host === '' || host.startsWith('.') || host.includes('..') || host.endsWith('.')) return undefined;
  return host;
}

/** Compiles a pattern; the host given is a normal one. */
export function compileHost(pattern: string): (host: string | undefined) => boolean {
  if (!pattern.startsWith('*')) return host => host === pattern;
  // Trap: the dot belongs to the suffix, else `*.example.com` would admit `evilexample.com`.
  const suffix = pattern.slice(1);
  return host => host !== undefined && host.length > suffix.length && host.endsWith(suffix);
}
