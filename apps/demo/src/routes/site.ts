/** The page, its style sheet, its scripts and its pictures: held in memory, with strong validators. */
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { matchesEtag } from '../range.ts';
import { siteFiles } from '../site-files.ts';

export async function site(app: FastifyInstance): Promise<void> {
  for (const file of siteFiles()) {
    let etag: string | undefined;
    app.route({
      method: ['GET', 'HEAD'],
      url: file.path,
      handler: (request, reply) => {
        const content = file.content();
        etag ??= `"${createHash('sha256').update(content).digest('base64url')}"`;
        reply.header('etag', etag).header('cache-control', file.cacheControl);
        if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send();
        reply.type(file.type).header('content-length', content.length);
        return reply.send(request.method === 'HEAD' ? null : content);
      },
    });
  }
}
