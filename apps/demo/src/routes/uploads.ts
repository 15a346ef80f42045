/** What was received, told back: `/upload` as length and hash, `/echo` byte by byte. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { History } from '../history.ts';
import { tokenOf } from '../token.ts';

/** The request's body as a stream; `undefined` if it has none. */
export function bodyOf(request: FastifyRequest): Readable | undefined {
  return request.body as Readable | undefined;
}

export async function uploads(app: FastifyInstance, { history }: { history: History }): Promise<void> {
  app.post('/upload', async request => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of bodyOf(request) ?? []) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    const token = tokenOf(request);
    if (token !== undefined) history.note({ step: 'executed', token });
    return { bytes, sha256: hash.digest('hex') };
  });

  app.post('/echo', (request, reply) => {
    const length = request.headers['content-length'];
    reply.type(request.headers['content-type'] ?? 'application/octet-stream');
    if (length !== undefined) reply.header('content-length', length);
    return reply.send(bodyOf(request) ?? null);
  });
}
