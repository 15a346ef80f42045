// Handing a message to the SMTP server, and what its answer means.

import type { Socket } from 'node:net';
import type { BackendKit, Transaction } from '@resplice/backend-kit';
import { delegatedPassword } from '@resplice/mailstore';
import { createTransport } from 'nodemailer';
import { Breakpoints } from './breakpoints.ts';
import type { Envelope } from './composition.ts';

export interface SubmissionOptions {
  readonly host: string;
  readonly port: number;
  readonly delegationKey: string;
  /** A server that says nothing for so long is given up, milliseconds. */
  readonly silenceMs?: number;
  /** A whole dialogue, milliseconds; the page waits for it. */
  readonly deadlineMs?: number;
  /** Points at which a test stops this server. */
  readonly breakpoints?: Breakpoints;
}

const SILENCE_MS = 8000;
const DEADLINE_MS = 20_000;

export interface Rejection {
  readonly address: string;
  readonly reason: string;
}

/**
 * accepted: delivered, but for the rejected. refused: not delivered, for this reason; `permanent` says that trying again is
 * of no use. unknown: the answer did not come; the message may have been delivered, and handing the same one over again
 * does no harm.
 */
export type Answer =
  | { readonly kind: 'accepted'; readonly rejected: readonly Rejection[] }
  | { readonly kind: 'refused'; readonly permanent: boolean; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What nodemailer throws. */
interface Failure {
  readonly code?: string;
  readonly syscall?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly permanent?: boolean;
  readonly message: string;
  readonly recipient?: string;
}

/** The server was never reached, or never got so far as to hear of the message. */
function neverReached({ code = '', syscall = '' }: Failure): boolean {
  return /^(connect|getaddrinfo)$/.test(syscall) || /^(EDNS|ECONNREFUSED|EAUTH|ENOAUTH|ETLS)$/.test(code);
}

/** The server answers the message itself by saying that it ends: of the message that says nothing. */
function isFarewell({ code, responseCode }: Failure): boolean {
  return code === 'EMESSAGE' && responseCode === 421;
}

export function judge(error: Failure): Answer {
  if (isFarewell(error)) return { kind: 'unknown', reason: error.response ?? error.message };
  if (error.responseCode !== undefined) {
    const reason = error.response ?? error.message;
    return { kind: 'refused', permanent: error.permanent === true, reason };
  }
  if (neverReached(error)) {
    return { kind: 'refused', permanent: false, reason: 'the mail server does not take mail now' };
  }
  return { kind: 'unknown', reason: error.message };
}

export class Submission {
  readonly #options: SubmissionOptions;
  readonly #kit: Pick<BackendKit, 'connect' | 'ownTransaction'>;
  readonly breakpoints: Breakpoints;

  constructor(options: SubmissionOptions, kit: Pick<BackendKit, 'connect' | 'ownTransaction'>) {
    this.#options = options;
    this.#kit = kit;
    this.breakpoints = options.breakpoints ?? new Breakpoints(undefined);
  }

  /**
   * One dialogue on a connection of its own. Never throws.
   * @param transaction whose dialogue it is: run again elsewhere, it goes on where it was (P5.2)
   */
  async submit(
    { sender, recipients }: Envelope,
    raw: Buffer,
    transaction: Transaction = this.#kit.ownTransaction(),
  ): Promise<Answer> {
    const { host, port, delegationKey, silenceMs = SILENCE_MS, deadlineMs = DEADLINE_MS } = this.#options;
    let connection: Socket;
    try {
      const dialled = await this.#kit.connect(transaction, { host, port, deadlineMs: silenceMs });
      connection = this.breakpoints.watch(dialled);
    } catch (error) {
      return judge(error as Failure);
    }
    const transport = createTransport({
      host,
      port,
      connection,
      secure: false,
      ignoreTLS: true,
      auth: { user: sender, pass: delegatedPassword(delegationKey, sender) },
      greetingTimeout: silenceMs,
      socketTimeout: silenceMs,
    });
    const { promise: late, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(
      () => resolve({ kind: 'unknown', reason: `no answer after ${deadlineMs / 1000} s` }),
      deadlineMs,
    );
    const dialogue = transport
      .sendMail({ envelope: { from: sender, to: [...recipients] }, raw })
      .then<Answer, Answer>(
        ({ rejectedErrors = [] }) => ({
          kind: 'accepted',
          rejected: rejectedErrors.map(error => ({
            address: error.recipient ?? '',
            reason: error.response ?? error.message,
          })),
        }),
        judge,
      );
    try {
      return await Promise.race([dialogue, late]);
    } finally {
      clearTimeout(timer);
      transport.close();
      connection.destroy();
    }
  }
}
