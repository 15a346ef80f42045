import {
  type Client,
  type Database,
  discard,
  type Folder,
  listPage as fetchPage,
  folders,
  mark,
  purge,
  restore,
} from '@resplice/mailstore';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { listDrafts } from '../store/drafts.ts';
import { update } from '../tags.ts';
import { draftListPage, listPage } from '../views/list.ts';
import { type NoticeQuery, noticeOf, withNotice } from '../web/notices.ts';
import { notFound } from '../web/problem.ts';
import { requireOwnForm } from '../web/sessions.ts';

interface Query extends NoticeQuery {
  readonly page?: string;
  readonly q?: string;
}

const SEARCH = 200;

function pageOf({ page }: Query): number {
  const number = Number(page ?? 1);
  return Number.isSafeInteger(number) && number > 0 ? Math.min(number, 1_000_000) : 1;
}

function folderOf(name: string): Folder {
  const folder = folders.find(each => each === name);
  if (folder === undefined) throw notFound();
  return folder;
}

/** Ids as the database has them: no more than fit on a page, and none that PostgreSQL would choke on. */
const ids = z
  .union([z.string(), z.array(z.string())])
  .transform(given => (Array.isArray(given) ? given : [given]))
  .pipe(z.array(z.string().regex(/^[1-9]\d{0,17}$/)).max(200))
  .catch([]);

const form = z.object({ id: ids, action: z.string().catch(''), back: z.string().catch('') });

type Deed = readonly [
  done: string,
  run: (client: Client, accountId: string, ids: readonly string[]) => Promise<number>,
];

const deeds: Record<string, Deed> = {
  delete: ['deleted', discard],
  restore: ['restored', restore],
  purge: ['purged', purge],
  read: ['read', (client, accountId, chosen) => mark(client, accountId, chosen, true)],
  unread: ['unread', (client, accountId, chosen) => mark(client, accountId, chosen, false)],
};

export function folderRoutes(app: FastifyInstance, { database }: { database: Database }): void {
  app.get<{ Querystring: Query }>('/mail/drafts', async (request, reply) => {
    const { viewer, txn } = request;
    const { id, pageSize } = viewer.account;
    const page = await listDrafts(database, id, { page: pageOf(request.query), pageSize });
    const notice = noticeOf(request.query);
    return reply.type('text/html; charset=utf-8').send(draftListPage({ viewer, page, now: txn.now, notice }));
  });

  app.get<{ Params: { folder: string }; Querystring: Query }>('/mail/:folder', async (request, reply) => {
    const { viewer, txn, query } = request;
    const folder = folderOf(request.params.folder);
    const search = (typeof query.q === 'string' ? query.q : '').replace(/\s+/g, ' ').trim().slice(0, SEARCH);
    const { id, pageSize } = viewer.account;
    const page = await fetchPage(database, id, { folder, page: pageOf(query), pageSize, search });
    const notice = noticeOf(query);
    return reply
      .type('text/html; charset=utf-8')
      .send(listPage({ viewer, folder, page, search, now: txn.now, notice }));
  });

  /** Asked by the list's script from time to time. */
  app.get('/mail/inbox/newest', async request => {
    const { account, counts } = request.viewer;
    const [row] = await database.query<{ id: string }>(
      `select id from messages where account_id = $1 and folder = 'inbox' order by received_at desc, id desc limit 1`,
      [account.id],
    );
    return { newest: row?.id ?? '0', unseen: counts.unseen };
  });

  app.post<{ Params: { folder: string } }>('/mail/:folder/act', update, async (request, reply) => {
    requireOwnForm(request);
    const { viewer, txn } = request;
    const folder = folderOf(request.params.folder);
    const { id: chosen, action, back } = form.parse(request.body ?? {});
    // Back to a list of ours, on the page where one was.
    const target = /^\/mail\/[a-z]+(\?[\x21-\x7e]*)?$/.test(back) ? back : `/mail/${folder}`;
    const deed = Object.hasOwn(deeds, action) ? deeds[action] : undefined;
    if (deed === undefined) throw notFound();
    if (chosen.length === 0) return reply.redirect(withNotice(target, 'none'), 303);
    const [done, run] = deed;
    const n = await database.once(txn.id, action, client => run(client, viewer.account.id, chosen));
    return reply.redirect(withNotice(target, done, n), 303);
  });

  app.post('/mail/trash/empty', update, async (request, reply) => {
    requireOwnForm(request);
    const { viewer, txn } = request;
    const n = await database.once(txn.id, 'empty', client => purge(client, viewer.account.id));
    return reply.redirect(withNotice('/mail/trash', 'purged', n), 303);
  });
}
