/** Known bytes of any size: `/bytes/:size`, `/100mb.bin` and its published hash. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HUNDRED_MB, HUNDRED_MB_SHA256, MAX_BYTES, PatternStream } from '../byte-pattern.ts';
import { matchesEtag, parseRange, rangeApplies } from '../range.ts';

/** Serves the first `size` bytes of the pattern: whole, in part, or only the head. */
function sendBytes(request: FastifyRequest, reply: FastifyReply, size: number): FastifyReply {
  // A strong validator: the bytes are the same on every back end, for ever.
  const etag = `"pattern1-${size}"`;
  reply
    .header('content-type', 'application/octet-stream')
    .header('etag', etag)
    .header('cache-control', 'public, max-age=0, must-revalidate')
    .header('accept-ranges', 'bytes');
  if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send();
  const wanted = rangeApplies(request.headers['if-range'], etag)
    ? parseRange(request.headers.range, size)
    : undefined;
  if (wanted === 'unsatisfiable') {
    return reply.code(416).header('content-range', `bytes */${size}`).send();
  }
  const { start, end } = wanted ?? { start: 0, end: size };
  if (wanted) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`);
  reply.header('content-length', end - start);
  // A stream that nobody reads would still be generated to its end.
  return reply.send(request.method === 'HEAD' ? null : new PatternStream(start, end));
}

/** The same bytes without a length: the reader learns the end from the last chunk alone. */
function sendChunked(request: FastifyRequest, reply: FastifyReply, size: number): FastifyReply {
  reply.header('content-type', 'application/octet-stream').header('cache-control', 'no-store');
  return reply.send(request.method === 'HEAD' ? null : new PatternStream(0, size));
}

export async function downloads(app: FastifyInstance): Promise<void> {
  app.route<{ Params: { size: number }; Querystring: { chunked: boolean } }>({
    method: ['GET', 'HEAD'],
    url: '/bytes/:size',
    schema: {
      params: {
        type: 'object',
        properties: { size: { type: 'integer', minimum: 0, maximum: MAX_BYTES } },
      },
      querystring: { type: 'object', properties: { chunked: { type: 'string' } } },
    },
    handler: (request, reply) => {
      const chunked = ['1', 'true', ''].includes(String(request.query.chunked ?? '0'));
      return (chunked ? sendChunked : sendBytes)(request, reply, request.params.size);
    },
  });

  app.route({
    method: ['GET', 'HEAD'],
    url: '/100mb.bin',
    handler: (request, reply) => sendBytes(request, reply, HUNDRED_MB),
  });

  app.get('/100mb.sha256', (_request, reply) =>
    // The format of sha256sum, so that `sha256sum --check` takes it as it is.
    reply.type('text/plain; charset=utf-8').send(`${HUNDRED_MB_SHA256}  100mb.bin\n`),
  );
}
