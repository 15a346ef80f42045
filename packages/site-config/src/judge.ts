// What becomes of a request: who may ask, and which pool serves it. A proxy asks about a connection's first head, the logger about
// each head of a listener that is not uniform.

import { compileAllowList } from './allow-list.ts';
import { type BasicAuth, basicChallenge } from './basic-auth.ts';
import type { Compare } from './bcrypt-thread.ts';
import type { ReadText } from './htpasswd.ts';
import { PasswordFile } from './password-file.ts';
import { placeOf, type RoutableHead } from './place.ts';
import { compileRouter } from './router.ts';
import type { Listener } from './schema.ts';

export interface Refusal {
  kind: 'refused';
  status: 400 | 401 | 403 | 404 | 408 | 431 | 503;
  /** One plain sentence for a person. */
  reason: string;
  /** 401: the value of `WWW-Authenticate`. */
  challenge?: string;
}

export type Judgement = { kind: 'pool'; pool: string } | Refusal;

/** @param client IPv4 address, host order */
export type Judge = (head: RoutableHead, client: number) => Judgement | Promise<Judgement>;

const BUSY = refused(503, 'Too many passwords are being tried; try again soon.');
const NOT_ADMITTED = refused(403, 'Clients from your network are not admitted here.');
const NOTHING = refused(404, 'Nothing is served there.');
const TWO_CREDENTIALS = refused(400, 'more than one Authorization');

/**
 * Compiles a listener's rules. Answers come at once, unless a password must be compared.
 *
 * @param compare a `BcryptThread`'s
 * @throws Error when the listener's password file cannot be followed
 */
export function compileJudge(listener: Listener, compare: Compare, readText?: ReadText): Judge {
  const admits = compileAllowList(listener.allow);
  const route = compileRouter(listener);
  const whereTo = (head: RoutableHead): Judgement => {
    const choice = route(head);
    if (choice.kind === 'pool') return choice;
    return choice.kind === 'none' ? NOTHING : refused(400, choice.reason);
  };
  const authenticate = listener.auth && compileBasic(listener.auth.basic, compare, readText);
  return (head, client) => {
    if (!admits(client)) return NOT_ADMITTED;
    // What two programs may read differently is given to none, whether a rule looks at it or not.
    const place = placeOf(head);
    if (typeof place === 'string') return refused(400, place);
    if (!authenticate) return whereTo(head);
    const refusal = authenticate(head);
    if (!(refusal instanceof Promise)) return refusal ?? whereTo(head);
    return refusal.then(late => late ?? whereTo(head));
  };
}

type Basic = NonNullable<Listener['auth']>['basic'];

function compileBasic({ realm, htpasswd }: Basic, compare: Compare, readText?: ReadText) {
  const file = new PasswordFile(htpasswd, compare, { readText });
  const challenge = basicChallenge(realm);
  const unknown: Refusal = { ...refused(401, 'Say who you are.'), challenge };
  return (head: RoutableHead): Refusal | undefined | Promise<Refusal | undefined> => {
    const said = head.fields.filter(({ name }) => name.toLowerCase() === 'authorization');
    if (said.length > 1) return TWO_CREDENTIALS;
    const verdict = file.auth.verify(said[0]?.value);
    return verdict instanceof Promise ? verdict.then(refusalFor) : refusalFor(verdict);
  };

  function refusalFor({ kind }: Awaited<ReturnType<BasicAuth['verify']>>): Refusal | undefined {
    if (kind === 'accepted') return undefined;
    return kind === 'busy' ? BUSY : unknown;
  }
}

function refused(status: Refusal['status'], reason: string): Refusal {
  return { kind: 'refused', status, reason };
}
