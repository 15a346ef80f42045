import {
  type Database,
  type Entry,
  entryById,
  type Mail,
  mark,
  neighbours,
  parseMail,
  rawById,
} from '@resplice/mailstore';
import type { FastifyInstance } from 'fastify';
import { frameDocument, sanitizeMail } from '../mail/sanitizer.ts';
import { messagePage } from '../views/message.ts';
import { contentDisposition } from '../web/disposition.ts';
import { FILE_POLICY, framePolicy } from '../web/headers.ts';
import { type NoticeQuery, noticeOf } from '../web/notices.ts';
import { notFound } from '../web/problem.ts';

interface Params {
  readonly id: string;
  readonly index?: string;
}

interface Query extends NoticeQuery {
  readonly images?: string;
}

/** Types that a browser shows in an `img` and cannot be made to run. */
const PICTURES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);

export async function messageRoutes(
  app: FastifyInstance,
  { database }: { database: Database },
): Promise<void> {
  const raw = async (accountId: string, id: string): Promise<Buffer> => {
    const found = /^[1-9]\d{0,17}$/.test(id) ? await rawById(database, accountId, id) : undefined;
    if (found === undefined) throw notFound();
    return found;
  };
  const mailOf = async (accountId: string, id: string): Promise<Mail> =>
    await parseMail(await raw(accountId, id));

  const sanitized = (id: string, { html = '', files }: Mail, images: boolean) =>
    sanitizeMail(html, { files, images, fileHref: index => `/message/${id}/picture/${index}` });

  app.get<{ Params: Params; Querystring: Query }>('/message/:id', async (request, reply) => {
    const { viewer, txn, query } = request;
    const { id } = request.params;
    const accountId = viewer.account.id;
    const mail = await mailOf(accountId, id);
    const entry = await entryById(database, accountId, id);
    if (entry === undefined) throw notFound();
    // Reading is the one effect of a GET: making it again changes nothing.
    if (!entry.seen) await database.repeat(client => mark(client, accountId, [id], true));
    const images = query.images === '1';
    const frame = mail.html === undefined ? undefined : { images, ...sanitized(id, mail, images) };
    const beside = await neighbours(database, accountId, entry);
    const page = { viewer: seenBy(viewer, entry), entry, mail, beside, frame, now: txn.now };
    return reply.type('text/html; charset=utf-8').send(messagePage({ ...page, notice: noticeOf(query) }));
  });

  app.get<{ Params: Params; Querystring: Query }>('/message/:id/body', async (request, reply) => {
    const { id } = request.params;
    const mail = await mailOf(request.viewer.account.id, id);
    if (mail.html === undefined) throw notFound();
    const images = request.query.images === '1';
    reply
      .header('content-security-policy', framePolicy(images))
      .header('x-frame-options', 'SAMEORIGIN')
      .header('referrer-policy', 'no-referrer');
    return reply.type('text/html; charset=utf-8').send(frameDocument(sanitized(id, mail, images).html));
  });

  app.get<{ Params: Params }>('/message/:id/source', async (request, reply) => {
    const bytes = await raw(request.viewer.account.id, request.params.id);
    // As bytes: whatever its character set is.
    reply.header('content-security-policy', FILE_POLICY);
    return reply.type('text/plain; charset=iso-8859-1').send(bytes);
  });

  const fileOf = async (accountId: string, { id, index = '' }: Params) => {
    const { files } = await mailOf(accountId, id);
    const file = /^\d{1,4}$/.test(index) ? files[Number(index)] : undefined;
    if (file === undefined) throw notFound();
    return file;
  };

  app.get<{ Params: Params }>('/message/:id/file/:index', async (request, reply) => {
    const { name, content } = await fileOf(request.viewer.account.id, request.params);
    reply
      .header('content-security-policy', FILE_POLICY)
      .header('content-disposition', contentDisposition(name || 'attachment'));
    // To be kept, not shown: its own claim of a type does not matter.
    return reply.type('application/octet-stream').send(content);
  });

  app.get<{ Params: Params }>('/message/:id/picture/:index', async (request, reply) => {
    const { type, content } = await fileOf(request.viewer.account.id, request.params);
    if (!PICTURES.has(type)) throw notFound();
    reply.header('content-security-policy', FILE_POLICY).header('cache-control', 'private, max-age=3600');
    return reply.type(type).send(content);
  });
}

/** The counts as they are once this message has been read. */
function seenBy<V extends { counts: { unseen: number } }>(viewer: V, { seen, folder }: Entry): V {
  if (seen || folder !== 'inbox') return viewer;
  return { ...viewer, counts: { ...viewer.counts, unseen: Math.max(0, viewer.counts.unseen - 1) } };
}
