// Writing: the form, its saves, and sending. Whatever goes wrong, what was typed comes back in the answer.

import {
  type Account,
  accountById,
  type Client,
  type Database,
  DatabaseAwayError,
  entryById,
  parseMail,
  rawById,
} from '@resplice/mailstore';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { forward, newBody, replyTo } from '../mail/answers.ts';
import type { Breakpoints } from '../mail/breakpoints.ts';
import { obstacle } from '../mail/composition.ts';
import type { Sending, SendOutcome } from '../mail/sending.ts';
import {
  addFiles,
  bury,
  draftByKey,
  emptyFields,
  lockDraft,
  removeFile,
  type Saved,
  saveDraft,
  sizeOfFiles,
} from '../store/drafts.ts';
import { named, update } from '../tags.ts';
import { uuidOf } from '../transaction.ts';
import { type ComposePage, composePage } from '../views/compose.ts';
import { type ComposeForm, MAX_FILES_BYTES, readComposeForm } from '../web/compose-form.ts';
import { type NoticeQuery, noticeOf, withNotice } from '../web/notices.ts';
import { notFound } from '../web/problem.ts';
import { isOwnForm, type Viewer, viewerOf } from '../web/sessions.ts';

export interface WritingOptions {
  readonly database: Database;
  readonly sending: Sending;
}

export interface FormOptions extends WritingOptions {
  /** Points of an answer's way at which a test stops this server. */
  readonly breakpoints: Breakpoints;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TOO_LARGE = `All attachments of a message together can have ${MAX_FILES_BYTES / 1e6} MB.`;

function keyOf(request: FastifyRequest): string {
  const { key } = request.params as { key: string };
  if (!UUID.test(key)) throw notFound();
  return key;
}

function send(reply: FastifyReply, page: ComposePage, status = 200): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(composePage(page));
}

interface ComposeQuery {
  readonly reply?: string;
  readonly all?: string;
  readonly forward?: string;
  readonly to?: string;
}

/** Pages to begin and to go on writing; for those who are logged in. */
export function writingPages(app: FastifyInstance, { database }: WritingOptions): void {
  const start = async (account: Account, query: ComposeQuery) => {
    const id = query.reply ?? query.all ?? query.forward;
    if (id === undefined) {
      const recipients = typeof query.to === 'string' ? query.to.slice(0, 320) : '';
      return { fields: { ...emptyFields, recipients, body: newBody(account) } };
    }
    if (!/^[1-9]\d{0,17}$/.test(id)) throw notFound();
    const [raw, entry] = await Promise.all([
      rawById(database, account.id, id),
      entryById(database, account.id, id),
    ]);
    if (raw === undefined || entry === undefined) throw notFound();
    const mail = await parseMail(raw);
    if (query.forward === undefined) {
      return { fields: replyTo(account, mail, entry.at, query.reply === undefined) };
    }
    const names = mail.files.map(({ name }) => name);
    return {
      fields: forward(account, mail, entry.at),
      forwards: names.length > 0 ? { id, names } : undefined,
    };
  };

  app.get<{ Querystring: ComposeQuery }>('/compose', named, async (request, reply) => {
    const { viewer, txn } = request;
    const { fields, forwards } = await start(viewer.account, request.query);
    const key = uuidOf(txn);
    return send(reply, {
      viewer,
      csrf: viewer.csrf,
      key,
      edition: 1,
      fields,
      forwards,
      files: [],
      isNew: true,
    });
  });

  app.get<{ Params: { key: string }; Querystring: NoticeQuery }>('/draft/:key', async (request, reply) => {
    const { viewer } = request;
    const draft = await draftByKey(database, viewer.account.id, keyOf(request));
    if (draft === undefined) throw notFound();
    if (draft.state !== 'open') {
      const notice = draft.state === 'discarded' ? 'discarded' : 'already';
      return reply.redirect(
        withNotice(`/mail/${draft.state === 'discarded' ? 'drafts' : 'sent'}`, notice),
        303,
      );
    }
    const problem = draft.problem === '' ? undefined : `This message was not sent: ${draft.problem}`;
    return send(reply, {
      viewer,
      csrf: viewer.csrf,
      key: draft.key,
      edition: draft.edition + 1,
      fields: draft,
      files: draft.files,
      problem,
      notice: noticeOf(request.query),
      isNew: false,
    });
  });
}

/** What the form posts. Here nobody is sent away for not being logged in: the text would be gone. */
export function writingForms(app: FastifyInstance, options: FormOptions): void {
  const { database, sending, breakpoints } = options;

  /** The form again, with what was typed in it. */
  const again = async (
    request: FastifyRequest,
    reply: FastifyReply,
    form: ComposeForm,
    what: { status: number; problem: string; viewer?: Viewer | undefined; login?: boolean; key?: string },
  ): Promise<FastifyReply> => {
    const { viewer, status, problem, login = false } = what;
    const key = what.key ?? keyOf(request);
    const known =
      viewer === undefined ? undefined : await draftByKey(database, viewer.account.id, key).catch(away);
    return send(
      reply,
      {
        viewer,
        csrf: request.session.csrf ?? '',
        key,
        edition: form.edition + 1,
        fields: form.fields,
        files: known?.files ?? [],
        problem,
        login,
        isNew: false,
      },
      status,
    );
  };

  /** Files that come along from another message, at the draft's first save. */
  const forwarded = async (account: Account, form: ComposeForm) => {
    if (form.forwards === undefined) return [];
    const raw = await rawById(database, account.id, form.forwards);
    if (raw === undefined) return [];
    const { files } = await parseMail(raw);
    return files.map(({ name, type, content }) => ({ name: name || 'without a name', type, bytes: content }));
  };

  /** Saves fields and files; says whether the files found room. */
  const save = async (
    request: FastifyRequest,
    account: Account,
    key: string,
    form: ComposeForm,
  ): Promise<Saved & { readonly full?: boolean }> => {
    const along = await forwarded(account, form);
    const { txn } = request;
    const { edition, fields, files, remove } = form;
    return await database.once(txn.id, 'save', async (client: Client) => {
      const isFirst = (await lockDraft(client, account.id, key)) === undefined;
      const saved = await saveDraft(client, { accountId: account.id, key, edition, fields, at: txn.now });
      if (saved.kind !== 'saved') return saved;
      if (remove !== undefined) await removeFile(client, saved.id, remove);
      const more = [...(isFirst ? along : []), ...files];
      const size = more.reduce((sum, { bytes }) => sum + bytes.length, await sizeOfFiles(client, saved.id));
      if (size > MAX_FILES_BYTES) return { ...saved, full: true };
      await addFiles(client, saved.id, more);
      return saved;
    });
  };

  app.post<{ Params: { key: string } }>('/draft/:key', update, async (request, reply) => {
    const key = keyOf(request);
    // Asked first; but whatever the answer, what was typed is read before it is given, and comes back with it.
    const asked = await viewerOf(database, request).then(
      viewer => ({ viewer }),
      (error: unknown) => ({ error }),
    );
    const form = await readComposeForm(request, 'viewer' in asked && asked.viewer !== undefined);
    try {
      if ('error' in asked) throw asked.error;
      const { viewer } = asked;
      if (viewer === undefined) {
        const problem =
          'Your session has ended. Your text is still here: log in, then come back and save or send it.';
        return await again(request, reply, form, { status: 401, problem, login: true });
      }
      if (!isOwnForm(request, form.csrf)) {
        const problem =
          'This form was from another session. Nothing was saved or sent yet: please press the button again.';
        return await again(request, reply, form, { status: 403, problem, viewer });
      }
      return await act(request, reply, form, viewer, key);
    } catch (error) {
      if (!(error instanceof DatabaseAwayError)) throw error;
      request.log.warn({ err: error }, 'a draft could not be saved');
      reply.header('retry-after', '5');
      const problem =
        'The mail store cannot be reached just now. Your text is still here: try again in a moment.';
      return await again(request, reply, form, { status: 503, problem });
    }
  });

  const act = async (
    request: FastifyRequest,
    reply: FastifyReply,
    form: ComposeForm,
    viewer: Viewer,
    key: string,
  ): Promise<FastifyReply> => {
    const { account } = viewer;
    if (form.action === 'discard') {
      await database.once(request.txn.id, 'discard', async client => {
        const draft = await lockDraft(client, account.id, key);
        if (draft?.state === 'open') await bury(client, draft.id, 'discarded');
      });
      return reply.redirect(withNotice('/mail/drafts', 'discarded'), 303);
    }
    const saved = await save(request, account, key, form);
    if (saved.kind !== 'saved') return await unsaved(request, reply, form, viewer, saved);
    const dropped = form.dropped.map(name => `“${name}”`).join(', ');
    if (dropped !== '' || saved.full) {
      const problem = `${TOO_LARGE} Not attached: ${dropped || form.files.map(({ name }) => `“${name}”`).join(', ') || 'the forwarded files'}. The draft has been saved.`;
      return await again(request, reply, form, { status: 413, problem, viewer });
    }
    if (form.action !== 'send') return reply.redirect(withNotice(`/draft/${key}`, 'saved'), 303);
    const problem = obstacle(form.fields);
    if (problem !== undefined) {
      return await again(request, reply, form, { status: 422, problem: `Not sent. ${problem}`, viewer });
    }
    const { fields, edition } = form;
    const outcome = await sending.send({ account, key, edition, fields }, request.txn);
    breakpoints.watchAnswer(reply.raw);
    return await sent(request, reply, form, viewer, outcome);
  };

  const unsaved = async (
    request: FastifyRequest,
    reply: FastifyReply,
    form: ComposeForm,
    viewer: Viewer,
    saved: Exclude<SendOutcome, { kind: 'sent' | 'sending' | 'refused' }>,
  ): Promise<FastifyReply> => {
    if (saved.kind === 'closed' && saved.state !== 'discarded') {
      return reply.redirect(withNotice('/mail/sent', saved.state === 'sent' ? 'already' : 'sending'), 303);
    }
    const problem =
      saved.kind === 'closed'
        ? 'This draft was discarded elsewhere. Your text is still here: saving or sending it now makes a new one, to which files must be attached again.'
        : 'This draft was changed elsewhere since. Your text is still here: saving or sending it now makes a second draft, to which files must be attached again.';
    return await again(request, reply, form, { status: 409, problem, viewer, key: uuidOf(request.txn) });
  };

  const sent = async (
    request: FastifyRequest,
    reply: FastifyReply,
    form: ComposeForm,
    viewer: Viewer,
    outcome: SendOutcome,
  ): Promise<FastifyReply> => {
    switch (outcome.kind) {
      case 'sent':
        return outcome.partly
          ? reply.redirect(withNotice(`/message/${outcome.messageId}`, 'partly'), 303)
          : reply.redirect(withNotice('/mail/sent', 'sent'), 303);
      case 'sending':
        return reply.redirect(withNotice('/mail/sent', 'sending'), 303);
      case 'refused': {
        const problem = `Not sent: ${outcome.reason}. The message is kept as a draft.`;
        return await again(request, reply, form, { status: 502, problem, viewer });
      }
      default:
        return await unsaved(request, reply, form, viewer, outcome);
    }
  };

  /** Saved while one writes: JSON in answer. */
  app.post<{ Params: { key: string } }>('/draft/:key/autosave', update, async (request, reply) => {
    const key = keyOf(request);
    const { accountId } = request.session;
    const account = accountId === undefined ? undefined : await accountById(database, accountId);
    const isKnown = account !== undefined && account.passwordEpoch === request.session.passwordEpoch;
    const form = await readComposeForm(request, isKnown);
    if (!isKnown) {
      return reply.code(401).send({ kind: 'loggedOut' });
    }
    if (!isOwnForm(request, form.csrf)) return reply.code(403).send({ kind: 'staleForm' });
    const saved = await save(request, account, key, form);
    if (saved.kind !== 'saved') return reply.code(409).send(saved);
    const draft = await draftByKey(database, account.id, key);
    const { edition, files } = draft!;
    // The text is saved all the same.
    if (saved.full || form.dropped.length > 0)
      return reply.code(413).send({ kind: 'full', problem: TOO_LARGE, edition });
    return { kind: 'saved', edition, files };
  });
}

function away(error: unknown): undefined {
  if (!(error instanceof DatabaseAwayError)) throw error;
}
