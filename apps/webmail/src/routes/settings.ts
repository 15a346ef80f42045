import {
  beginTry,
  changePassword,
  changeSettings,
  clean,
  cleanLine,
  type Database,
  forgiveTry,
  hashPassword,
  MAX_PASSWORD,
  MIN_PASSWORD,
} from '@resplice/mailstore';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { update } from '../tags.ts';
import { settingsPage } from '../views/settings.ts';
import { type NoticeQuery, noticeOf, withNotice } from '../web/notices.ts';
import { PASSWORD_STEP, requireOwnForm } from '../web/sessions.ts';

const settingsForm = z.object({
  name: z.string().transform(cleanLine).pipe(z.string().min(1).max(100)),
  signature: z
    .string()
    .transform(text => clean(text).replace(/\r\n?/g, '\n').trimEnd())
    .pipe(z.string().max(2000)),
  pageSize: z.coerce.number().pipe(z.literal([25, 50, 100, 200])),
});

const passwordForm = z.object({
  current: z.string().max(MAX_PASSWORD),
  wanted: z.string().max(MAX_PASSWORD),
  again: z.string().max(MAX_PASSWORD),
});

export function settingsRoutes(app: FastifyInstance, { database }: { database: Database }): void {
  app.get<{ Querystring: NoticeQuery }>('/settings', (request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .send(settingsPage({ viewer: request.viewer, notice: noticeOf(request.query) })),
  );

  app.post('/settings', update, async (request, reply) => {
    requireOwnForm(request);
    const { viewer, txn } = request;
    const given = settingsForm.safeParse(request.body);
    if (!given.success) {
      const problem = 'Nothing was saved: a name needs 1 to 100 characters, a signature may have 2,000.';
      return reply.code(422).type('text/html; charset=utf-8').send(settingsPage({ viewer, problem }));
    }
    await database.once(txn.id, 'settings', client => changeSettings(client, viewer.account.id, given.data));
    return reply.redirect(withNotice('/settings', 'settings'), 303);
  });

  app.post('/settings/password', update, async (request, reply) => {
    requireOwnForm(request);
    const { viewer, txn } = request;
    const { address, id } = viewer.account;
    const refuse = (problem: string, status = 422) =>
      reply.code(status).type('text/html; charset=utf-8').send(settingsPage({ viewer, problem }));
    const given = passwordForm.safeParse(request.body);
    if (!given.success) return refuse(`A password may have ${MAX_PASSWORD} characters.`);
    const { current, wanted, again } = given.data;
    if (wanted !== again) return refuse('The new passwords differ.');
    if (wanted.length < MIN_PASSWORD) return refuse(`A password needs at least ${MIN_PASSWORD} characters.`);
    const attempt = { source: request.ip, address, at: txn.now };
    const tried = await database.once(txn.id, 'try', client => beginTry(client, attempt));
    if (tried === null) return refuse('Too many wrong passwords: wait a while.', 429);
    const hashed = await hashPassword(wanted, txn.random(16));
    // One effect: run again, this request must not find that the password it was given is not the one any more.
    const epoch = await database.once(txn.id, PASSWORD_STEP, client =>
      changePassword(client, id, current, hashed),
    );
    if (epoch === null) return refuse('The password that you have now is another one.');
    await forgiveTry(database, tried);
    request.session.passwordEpoch = epoch;
    return reply.redirect(withNotice('/settings', 'password'), 303);
  });
}
