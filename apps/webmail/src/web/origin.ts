import type { FastifyRequest } from 'fastify';
import { foreignForm } from './problem.ts';

/**
 * Refuses what another site's page sends. Browsers say where a request comes from and let no page forge it; clients that
 * say nothing are no browsers, and carry nobody's cookies by mistake.
 * @throws Problem
 */
export function requireOwnOrigin(request: FastifyRequest): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreignForm();
  const { origin, host } = request.headers;
  if (origin === undefined) return;
  if (!URL.canParse(origin) || new URL(origin).host !== host) throw foreignForm();
}
