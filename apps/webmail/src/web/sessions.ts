// Who is logged in. A session holds who it is and the token of its forms, nothing else (P8.2).

import { timingSafeEqual } from 'node:crypto';
import cookie from '@fastify/cookie';
import session, { type FastifySessionOptions } from '@fastify/session';
import { type Account, accountById, type Counts, counts, type Database } from '@resplice/mailstore';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { staleForm } from './problem.ts';

declare module 'fastify' {
  interface Session {
    accountId?: string;
    /** For pages that are made while the database is away. */
    address?: string;
    /** Sessions from before a change of the password are over. */
    passwordEpoch?: number;
    /** In every form of this session. */
    csrf?: string;
  }
  interface FastifyRequest {
    /** Who is logged in; only where that is required. */
    viewer: Viewer;
  }
}

export interface Viewer {
  readonly account: Account;
  readonly counts: Counts;
  readonly csrf: string;
}

export type SessionStore = NonNullable<FastifySessionOptions['store']>;

export const COOKIE = 'session';
/** A session's whole life, however busy it is. */
export const SESSION_MS = 24 * 3_600_000;

/** Effect of a transaction that changes a password; its outcome is the new epoch, or null. */
export const PASSWORD_STEP = 'password';

export interface SessionOptions {
  readonly secret: string;
  readonly store: SessionStore;
}

export async function registerSessions(app: FastifyInstance, options: SessionOptions): Promise<void> {
  await app.register(cookie);
  await app.register(session, {
    secret: options.secret,
    store: options.store,
    cookieName: COOKIE,
    saveUninitialized: false,
    // A read that touches no session costs no message to another server.
    rolling: false,
    idGenerator: request => request!.txn.random(24).toString('base64url'),
    cookie: { httpOnly: true, sameSite: 'lax', path: '/', secure: 'auto', maxAge: SESSION_MS },
  });
}

/** Begins a session under a new id: what somebody planted in the browser before the login is worth nothing. */
export async function begin(request: FastifyRequest, account: Account): Promise<void> {
  await request.session.regenerate();
  request.session.accountId = account.id;
  request.session.address = account.address;
  request.session.passwordEpoch = account.passwordEpoch;
  request.session.csrf = request.txn.random(18).toString('base64url');
}

export async function end(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  await request.session.destroy();
  reply.clearCookie(COOKIE, { path: '/' });
}

/** Whoever is logged in, or undefined. */
export async function viewerOf(database: Database, request: FastifyRequest): Promise<Viewer | undefined> {
  const { accountId, csrf, passwordEpoch } = request.session;
  if (accountId === undefined || csrf === undefined) return undefined;
  const [account, counted] = await Promise.all([
    accountById(database, accountId),
    counts(database, accountId),
  ]);
  if (account === undefined) return undefined;
  if (account.passwordEpoch !== passwordEpoch && !(await hasChangedIt(database, request, account))) {
    return undefined;
  }
  return { account, counts: counted, csrf };
}

/** This very request has changed the password, in a run whose answer was lost: its session is not from before that. */
async function hasChangedIt(
  database: Database,
  { method, txn }: FastifyRequest,
  { passwordEpoch }: Account,
): Promise<boolean> {
  if (method !== 'POST') return false;
  return (await database.outcomeOf<number | null>(txn.id, PASSWORD_STEP)) === passwordEpoch;
}

export function isOwnForm(request: FastifyRequest, token: unknown): boolean {
  const expected = Buffer.from(request.session.csrf ?? '');
  const given = Buffer.from(typeof token === 'string' ? token : '');
  return expected.length > 0 && expected.length === given.length && timingSafeEqual(expected, given);
}

/** @throws Problem unless the form is one of this session's */
export function requireOwnForm(request: FastifyRequest): void {
  const token =
    (request.body as { csrf?: unknown } | null | undefined)?.csrf ?? request.headers['x-csrf-token'];
  if (!isOwnForm(request, token)) throw staleForm();
}
