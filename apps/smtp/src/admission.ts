// Who may submit what to whom.

import {
  type Account,
  accountByAddress,
  authenticate,
  beginTry,
  type Database,
  forgiveTry,
  isDelegated,
} from '@resplice/mailstore';
import { SmtpReply } from './reply.ts';

export interface AdmissionOptions {
  readonly database: Database;
  /** Whose mailboxes are here. */
  readonly domain: string;
  /** Shared with the webmail, see `delegatedPassword`; undefined: only users' own passwords. */
  readonly delegationKey: string | undefined;
  /** Whether mail for other domains can be passed on. */
  readonly relays: boolean;
}

/** The most that are served in one message; RFC 5321 4.5.3.1.8 asks for 100. */
const MAX_RECIPIENTS = 100;

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  isLocal(address: string): boolean {
    return address.toLowerCase().endsWith(`@${this.#options.domain}`);
  }

  /** @throws SmtpReply */
  async login(username: string, password: string, source: string): Promise<Account> {
    const { database, delegationKey } = this.#options;
    if (delegationKey !== undefined && isDelegated(delegationKey, username, password)) {
      const account = await accountByAddress(database, username);
      if (account !== undefined) return account;
    }
    const attempt = { source, address: username, at: new Date() };
    const tried = await database.repeat(client => beginTry(client, attempt));
    if (tried === null) {
      throw new SmtpReply(454, '4.7.0 Too many wrong passwords: try again later');
    }
    const account = await authenticate(database, username, password);
    if (account !== undefined) {
      await forgiveTry(database, tried);
      return account;
    }
    throw new SmtpReply(535, '5.7.8 Wrong address or password');
  }

  /** @throws SmtpReply when the envelope's sender is not the client's to use */
  checkSender(sender: string, account: Account | undefined): void {
    if (account !== undefined && sender.toLowerCase() !== account.address) {
      throw new SmtpReply(553, `5.7.1 You are ${account.address}: send as that`);
    }
    if (account === undefined && this.isLocal(sender)) {
      throw new SmtpReply(530, `5.7.0 Senders at ${this.#options.domain} log in first`);
    }
  }

  /** @throws SmtpReply when there is no way to this recipient for this client */
  async checkRecipient(recipient: string, account: Account | undefined, before: number): Promise<void> {
    if (before >= MAX_RECIPIENTS) {
      throw new SmtpReply(452, `4.5.3 More than ${MAX_RECIPIENTS} recipients: send the rest separately`);
    }
    if (this.isLocal(recipient)) {
      if ((await accountByAddress(this.#options.database, recipient)) !== undefined) return;
      throw new SmtpReply(550, `5.1.1 There is no mailbox ${recipient}`);
    }
    if (account === undefined) throw new SmtpReply(550, '5.7.1 Mail for other domains needs a login');
    if (!this.#options.relays) {
      throw new SmtpReply(550, '5.7.1 This server passes no mail on: it has no smarthost');
    }
  }
}
