// A message that has arrived: into the mailboxes and the queue, once.

import { randomUUID } from 'node:crypto';
import {
  type Account,
  type Client,
  claimDeliveries,
  type Database,
  digestOf,
  type Mail,
  parseMail,
  place,
  storeContent,
} from '@resplice/mailstore';
import { SmtpReply } from './reply.ts';

/** An envelope and where it came from. */
export interface Arrival {
  readonly account: Account | undefined;
  readonly sender: string;
  readonly recipients: readonly string[];
  /** The client's name for itself, and its address. */
  readonly greeting: string;
  readonly source: string;
  /** Such as ESMTPA. */
  readonly protocol: string;
  readonly raw: Buffer;
}

export interface ReceptionOptions {
  readonly database: Database;
  readonly domain: string;
  readonly isLocal: (address: string) => boolean;
  /** How long mail for other domains is tried, milliseconds. */
  readonly giveUpMs: number;
}

/** More servers than this on a message's way, and it goes in circles (RFC 5321 6.3). */
const MAX_HOPS = 50;

/** What came of it. */
export interface Reception {
  readonly messageId: string;
  /** Recipients that had it already are not among these. */
  readonly delivered: number;
  readonly relayed: number;
}

function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, 255);
}

export class Receiver {
  readonly #options: ReceptionOptions;

  constructor(options: ReceptionOptions) {
    this.#options = options;
  }

  /**
   * Delivers all or nothing. A message that its submitter sent before is accepted and not delivered again.
   * @throws SmtpReply, DatabaseAwayError
   */
  async receive(arrival: Arrival): Promise<Reception> {
    const { account, recipients, sender } = arrival;
    const mail = await parseMail(arrival.raw);
    this.#check(arrival, mail);
    const now = new Date();
    const messageId = mail.messageId || `<${randomUUID()}@${this.#options.domain}>`;
    const raw = this.#stamped(arrival, mail.messageId ? '' : `Message-ID: ${messageId}\r\n`, now);
    const digest = { ...digestOf(mail, raw.length), messageId };
    // The local part of others' addresses is theirs to read; ours are lower case.
    const all = recipients.map(each => (this.#options.isLocal(each) ? each.toLowerCase() : each));
    const { database } = this.#options;
    const work = async (client: Client): Promise<Reception> => {
      const due =
        account === undefined
          ? new Set(all)
          : await claimDeliveries(client, account.id, digest.messageId, all);
      if (due.size === 0) return { messageId, delivered: 0, relayed: 0 };
      const contentId = await storeContent(client, raw);
      const local = [...due].filter(each => this.#options.isLocal(each));
      const remote = [...due].filter(each => !this.#options.isLocal(each));
      for (const recipient of local) {
        const { rows } = await client.query<{ id: string }>('select id from accounts where address = $1', [
          recipient,
        ]);
        // Deleted since RCPT. The client learns it as it would have then.
        if (rows[0] === undefined) throw new SmtpReply(550, `5.1.1 There is no mailbox ${recipient}`);
        await place(client, { accountId: rows[0].id, folder: 'inbox', contentId, digest, at: now });
      }
      await client.query(
        `insert into relays (submitter, sender, recipient, content_id, next_at, expires_at)
         select $1, $2, unnest($3::text[]), $4, $5, $6`,
        [account?.id, sender, remote, contentId, now, new Date(now.getTime() + this.#options.giveUpMs)],
      );
      return { messageId, delivered: local.length, relayed: remote.length };
    };
    // What was claimed is not delivered again: a submitted message is tried until the answer is certain.
    return account === undefined ? await database.transact(work) : await database.repeat(work);
  }

  #check({ account, raw }: Arrival, mail: Mail): void {
    const from = mail.addresses.from.map(({ address }) => address.toLowerCase());
    if (account !== undefined && (from.length !== 1 || from[0] !== account.address)) {
      throw new SmtpReply(550, `5.7.1 The From field must be ${account.address}`);
    }
    if (account === undefined && from.some(each => this.#options.isLocal(each))) {
      throw new SmtpReply(550, `5.7.1 A From field at ${this.#options.domain} needs a login`);
    }
    const head = raw.subarray(0, raw.indexOf('\r\n\r\n') + 1 || raw.length).toString('latin1');
    if ((head.match(/^Received:/gim)?.length ?? 0) > MAX_HOPS) {
      throw new SmtpReply(554, '5.4.6 This message goes in circles');
    }
  }

  /** With our line of its journey on top (RFC 5321 4.4). */
  #stamped({ raw, greeting, source, protocol, sender }: Arrival, more: string, now: Date): Buffer {
    const trace =
      `Return-Path: <${printable(sender)}>\r\n` +
      `Received: from ${printable(greeting)} ([${printable(source)}]) by ${this.#options.domain}\r\n` +
      ` with ${printable(protocol)}; ${now.toUTCString().replace('GMT', '+0000')}\r\n`;
    return Buffer.concat([Buffer.from(trace + more), raw]);
  }
}
