import {
  authenticate,
  beginTry,
  cleanLine,
  type Database,
  forgiveTry,
  LOGIN_WINDOW_MINUTES,
} from '@resplice/mailstore';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { update } from '../tags.ts';
import { type LoginPage, loginPage } from '../views/login.ts';
import { type NoticeQuery, noticeOf, withNotice } from '../web/notices.ts';
import { begin, end, requireOwnForm } from '../web/sessions.ts';

const START = '/mail/inbox';

/** Only pages of ours, and only ones to look at. */
export function nextOf(wanted: unknown): string {
  return typeof wanted === 'string' && /^\/(mail|message|draft|compose|settings)\b[\x21-\x7e]*$/.test(wanted)
    ? wanted
    : START;
}

const form = z.object({
  address: z.string().max(320).catch('').transform(cleanLine),
  password: z.string().catch(''),
  next: z.unknown().optional(),
});

interface Query extends NoticeQuery {
  readonly next?: string;
}

export function loginRoutes(app: FastifyInstance, { database }: { database: Database }): void {
  const show = (reply: FastifyReply, page: LoginPage): FastifyReply =>
    reply.type('text/html; charset=utf-8').send(loginPage(page));

  for (const url of ['/', '/login']) {
    app.get<{ Querystring: Query }>(url, (request, reply) => {
      const next = nextOf(request.query.next);
      if (request.session.accountId !== undefined) return reply.redirect(next, 303);
      return show(reply, { next, notice: noticeOf(request.query) });
    });
  }

  app.post('/login', update, async (request, reply) => {
    const { address, password, next: wanted } = form.parse(request.body ?? {});
    const next = nextOf(wanted);
    const attempt = { source: request.ip, address, at: request.txn.now };
    const tried = await database.once(request.txn.id, 'try', client => beginTry(client, attempt));
    if (tried === null) {
      reply.code(429).header('retry-after', String(60 * LOGIN_WINDOW_MINUTES));
      const problem = `Too many wrong passwords. Wait ${LOGIN_WINDOW_MINUTES} minutes, then try again.`;
      return show(reply, { address, next, problem });
    }
    const account = await authenticate(database, address, password);
    if (account === undefined) {
      reply.code(401);
      return show(reply, { address, next, problem: 'Address or password is wrong.' });
    }
    await forgiveTry(database, tried);
    await begin(request, account);
    return reply.redirect(next, 303);
  });

  app.post('/logout', update, async (request, reply) => {
    // Nobody is logged in: then nothing needs protecting, and the wish has come true.
    if (request.session.accountId !== undefined) requireOwnForm(request);
    await end(request, reply);
    return reply.redirect(withNotice('/login', 'goodbye'), 303);
  });
}
