// A draft becomes a message: the same bytes whenever the same transaction makes it.

import type { Account, Person } from '@resplice/mailstore';
import MailComposer from 'nodemailer/lib/mail-composer';
import type { DraftFields, NewFile } from '../store/drafts.ts';
import { distinct, MAX_RECIPIENTS, parseRecipients } from './addresses.ts';

export interface Envelope {
  readonly sender: string;
  readonly recipients: readonly string[];
}

export interface Composition {
  readonly account: Account;
  readonly fields: DraftFields;
  readonly files: readonly NewFile[];
  /** Of the transaction. */
  readonly id: string;
  readonly at: Date;
}

/** What keeps a draft from being sent, in words for its author; undefined: nothing. */
export function obstacle(fields: DraftFields): string | undefined {
  const parsed = [fields.recipients, fields.cc, fields.bcc].map(parseRecipients);
  const wrong = parsed.flatMap(each => each.wrong);
  const people = distinct(parsed.flatMap(each => each.people));
  if (wrong.length > 0) {
    const shown = wrong.slice(0, 3).map(each => `“${each.slice(0, 80)}”`);
    return `${shown.join(', ')} ${wrong.length === 1 ? 'is not an e-mail address' : 'are not e-mail addresses'}.`;
  }
  if (people.length === 0) return 'Say to whom it goes: there is no recipient.';
  if (people.length > MAX_RECIPIENTS) {
    return `These are ${people.length} recipients; one message can have ${MAX_RECIPIENTS}.`;
  }
  return undefined;
}

/** Message-ID's left side allows what an id consists of (RFC 5322 3.6.4). */
export function messageIdOf({ id, account }: Pick<Composition, 'id' | 'account'>): string {
  return `<${id}@${account.address.split('@')[1]}>`;
}

function onlyIds(text: string): string[] {
  return text.match(/<[^\s<>]+>/g) ?? [];
}

export function envelopeOf({ account, fields }: Pick<Composition, 'account' | 'fields'>): Envelope {
  const everybody = [fields.recipients, fields.cc, fields.bcc].flatMap(
    field => parseRecipients(field).people,
  );
  return { sender: account.address, recipients: distinct(everybody).map(({ address }) => address) };
}

/** The message without its Bcc field: what all recipients get. */
export async function compose({ account, fields, files, id, at }: Composition): Promise<Buffer> {
  const field = (text: string): Person[] => [...parseRecipients(text).people];
  const composer = new MailComposer({
    from: { name: account.name, address: account.address },
    to: field(fields.recipients),
    cc: field(fields.cc),
    subject: fields.subject,
    messageId: messageIdOf({ id, account }),
    date: at,
    inReplyTo: onlyIds(fields.inReplyTo).at(0),
    references: onlyIds(fields.references),
    text: fields.body.replace(/\r\n?/g, '\n'),
    attachments: files.map(({ name, type, bytes }) => ({
      filename: name,
      contentType: type,
      contentDisposition: 'attachment',
      content: bytes,
    })),
    baseBoundary: id,
    newline: 'win',
    disableUrlAccess: true,
    disableFileAccess: true,
  });
  return await composer.compile().build();
}

/** Those who got it unseen: kept beside one's own copy. */
export function hiddenRecipients(fields: DraftFields): readonly Person[] {
  return parseRecipients(fields.bcc).people;
}
