// HTTP Basic (RFC 7617) against a password file.

import { hash as digest, randomBytes } from 'node:crypto';
import type { Compare } from './bcrypt-thread.ts';
import { CredentialCache } from './credential-cache.ts';
import type { Users } from './htpasswd.ts';

export type AuthVerdict =
  | { kind: 'accepted'; user: string }
  /** 401 with `WWW-Authenticate`: no credentials, malformed ones, or wrong ones. */
  | { kind: 'refused'; reason: 'missing' | 'malformed' | 'wrong' }
  /** 503 with `Retry-After`: too many passwords are being tried. */
  | { kind: 'busy' };

export interface BasicAuthOptions {
  /** Verified credentials that are remembered at most. */
  cacheEntries?: number;
  /** How long they are, milliseconds; a user removed from the file is locked out at once by a new `BasicAuth`. */
  cacheMs?: number;
  /** Milliseconds, monotonic. */
  now?: () => number;
}

const REFUSED = {
  missing: { kind: 'refused', reason: 'missing' },
  malformed: { kind: 'refused', reason: 'malformed' },
  wrong: { kind: 'refused', reason: 'wrong' },
} as const satisfies Record<string, AuthVerdict>;
const BUSY: AuthVerdict = { kind: 'busy' };

/** Of a password that nobody has, cost 10; stands in where a file has no user. */
const NOBODY = '$2b$10$abcdefghijklmnopqrstuuQx8vFqC1Tz1N0cN8Q0Uu1e0o9cJb2yK';
/** Longest credentials that are looked at, characters of base64. */
const MAX_TOKEN = 4096;
const SCHEME = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/**
 * Answers "may this one in?" for one listener.
 *
 * An unknown user costs what a known one with a wrong password costs: one comparison, with the hash of a user that a
 * keyed hash of the name picks, so that even files of mixed costs tell nothing, and the same name always takes the
 * same time. What is compared with secrets is compared as a hash with a secret of this process: how long a
 * look-up takes says nothing about names or passwords.
 */
export class BasicAuth {
  readonly #users = new Map<string, string>();
  readonly #decoys: readonly string[];
  readonly #compare: Compare;
  readonly #secret = randomBytes(32).toString('hex');
  readonly #verified: CredentialCache<AuthVerdict>;
  /** Credentials being compared: a browser's six connections ask once. */
  readonly #pending = new Map<string, Promise<AuthVerdict>>();

  /**
   * @param users as `checkHtpasswd` read them
   * @param compare a `BcryptThread`'s
   */
  constructor(users: Users, compare: Compare, options: BasicAuthOptions = {}) {
    for (const [user, hash] of users) this.#users.set(this.#digest('user', user), hash);
    this.#decoys = users.size > 0 ? [...users.values()] : [NOBODY];
    this.#compare = compare;
    const { cacheEntries = 4096, cacheMs = 300_000, now = () => performance.now() } = options;
    this.#verified = new CredentialCache({ entries: cacheEntries, ms: cacheMs, now });
  }

  /**
   * @param authorization the Authorization field's value; two such fields are the caller's 400
   * @returns at once for credentials that were verified lately, else a promise, which never rejects
   */
  verify(authorization: string | undefined): AuthVerdict | Promise<AuthVerdict> {
    if (authorization === undefined) return REFUSED.missing;
    if (authorization.length > MAX_TOKEN) return REFUSED.malformed;
    const token = SCHEME.exec(authorization)?.[1];
    if (token === undefined) return REFUSED.malformed;
    const key = this.#digest('token', token);
    const known = this.#verified.get(key) ?? this.#pending.get(key);
    if (known) return known;
    const credentials = readCredentials(token);
    if (!credentials) return REFUSED.malformed;
    const asked = this.#ask(key, credentials).finally(() => this.#pending.delete(key));
    this.#pending.set(key, asked);
    return asked;
  }

  async #ask(key: string, { user, password }: Credentials): Promise<AuthVerdict> {
    const name = this.#digest('user', user);
    const hash = this.#users.get(name);
    const decoy = this.#decoys[Number.parseInt(name.slice(0, 8), 16) % this.#decoys.length]!;
    // No short cut for an unknown user: its comparison runs too, and its result counts for nothing.
    const matches = await this.#compare(password, hash ?? decoy).catch(() => undefined);
    if (matches === undefined) return BUSY;
    if (!matches || hash === undefined) return REFUSED.wrong;
    const verdict: AuthVerdict = { kind: 'accepted', user };
    this.#verified.set(key, verdict);
    return verdict;
  }

  #digest(purpose: 'user' | 'token', text: string): string {
    // A secret prefix is enough, and four times as fast as an HMAC: digests never leave the process, so there is
    // none that somebody could extend.
    return digest('sha256', `${this.#secret}${purpose}:${text}`);
  }
}

/** The value of `WWW-Authenticate`. */
export function basicChallenge(realm: string): string {
  return `Basic realm="${realm}", charset="UTF-8"`;
}

interface Credentials {
  user: string;
  password: string;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readCredentials(token: string): Credentials | undefined {
  let text: string;
  try {
    text = UTF8.decode(Buffer.from(token, 'base64'));
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  // RFC 7617 §2 forbids control characters; a NUL would end the password for some bcrypts and not for others.
  if (colon < 0 || /\p{Cc}/u.test(text)) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
