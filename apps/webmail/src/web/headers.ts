import type { FastifyInstance } from 'fastify';

/** Nothing from elsewhere, nothing inline, no frame but our own message bodies. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/**
 * A message's HTML in its frame: no script ever, no form, no style sheet but its own attributes.
 * @param images whether pictures may be fetched from elsewhere
 */
export function framePolicy(images: boolean): string {
  return [
    "default-src 'none'",
    "style-src 'unsafe-inline'",
    `img-src 'self' data:${images ? ' http: https:' : ''}`,
    "form-action 'none'",
    "frame-ancestors 'self'",
    "base-uri 'none'",
    // Of our origin, so that the page can measure its height; with no scripts that grants nothing.
    'sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox',
  ].join('; ');
}

/** Nothing that a stranger sent runs, whatever type it claims to be. */
export const FILE_POLICY = "default-src 'none'; sandbox";

/** Headers of every answer; a route may have set its own before. There is no TLS here to ask for with HSTS. */
export function secureHeaders(app: FastifyInstance): void {
  const defaults: Record<string, string> = {
    'content-security-policy': PAGE_POLICY,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    // Not no-referrer: forms would then be posted with `Origin: null`.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'cache-control': 'no-store',
  };
  app.addHook('onSend', async (_request, reply) => {
    for (const [name, value] of Object.entries(defaults)) {
      if (!reply.hasHeader(name)) reply.header(name, value);
    }
  });
}
