import type { FastifyRequest } from 'fastify';

/** What the client calls this request, to find it again: its `X-Request-Token`. */
export function tokenOf({ headers }: FastifyRequest): string | undefined {
  const token = headers['x-request-token'];
  return token === undefined ? undefined : String(token);
}
