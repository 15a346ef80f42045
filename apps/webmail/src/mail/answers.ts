// Drafts that begin with another message: replies and forwards.

import { type Account, cleanLine, type Mail, type Person } from '@resplice/mailstore';
import type { DraftFields } from '../store/drafts.ts';
import { longTime, nameOf } from '../views/words.ts';
import { distinct, formatPeople } from './addresses.ts';

/** Of a quoted text, characters. */
const MAX_QUOTE = 100_000;
/** Ids in a References field: the first and the newest of a long thread. */
const MAX_REFERENCES = 30;

function withSignature(account: Account, before: string, after: string): string {
  const signature = account.signature === '' ? '' : `\n\n-- \n${account.signature}`;
  return `${before}${signature}${after === '' ? '' : `\n\n${after}`}`;
}

export function newBody(account: Account): string {
  return withSignature(account, '', '');
}

function prefixed(prefix: string, subject: string): string {
  return new RegExp(`^${prefix}:`, 'i').test(subject) ? subject : `${prefix}: ${subject}`.trim();
}

function quoted(text: string): string {
  return text
    .slice(0, MAX_QUOTE)
    .trimEnd()
    .split(/\r?\n/)
    .map(line => (line.startsWith('>') ? `>${line}` : `> ${line}`))
    .join('\n');
}

function thread(mail: Mail): Pick<DraftFields, 'inReplyTo' | 'references'> {
  const earlier =
    mail.references.length > 0 ? mail.references : mail.inReplyTo === '' ? [] : [mail.inReplyTo];
  const all = [...earlier, ...(mail.messageId === '' ? [] : [mail.messageId])];
  const kept = all.length > MAX_REFERENCES ? [all[0]!, ...all.slice(1 - MAX_REFERENCES)] : all;
  return { inReplyTo: mail.messageId, references: kept.join(' ') };
}

/** @param everybody whether the other recipients get it too */
export function replyTo(account: Account, mail: Mail, at: Date, everybody: boolean): DraftFields {
  const { from, to, cc, replyTo: asked } = mail.addresses;
  const isMe = ({ address }: Person): boolean => address.toLowerCase() === account.address;
  const author = asked.length > 0 ? asked : from;
  // A reply to a message of one's own goes to those who got that.
  const target = author.every(isMe) ? to : author;
  const others = everybody ? [...to, ...cc].filter(each => !isMe(each)) : [];
  const direct = distinct(target);
  const taken = new Set(direct.map(({ address }) => address.toLowerCase()));
  const copies = distinct(others).filter(({ address }) => !taken.has(address.toLowerCase()));
  const intro = `On ${longTime(at)}, ${from[0] === undefined ? 'somebody' : nameOf(from[0])} wrote:`;
  return {
    recipients: formatPeople(direct),
    cc: formatPeople(copies),
    bcc: '',
    subject: prefixed('Re', mail.subject),
    body: withSignature(account, '', `${intro}\n${quoted(mail.text)}\n`),
    ...thread(mail),
  };
}

export function forward(account: Account, mail: Mail, at: Date): DraftFields {
  const { from, to } = mail.addresses;
  const head = [
    '---------- Forwarded message ----------',
    `From: ${formatPeople(from)}`,
    `Date: ${longTime(mail.date ?? at)}`,
    `Subject: ${cleanLine(mail.subject)}`,
    `To: ${formatPeople(to)}`,
  ].join('\n');
  return {
    recipients: '',
    cc: '',
    bcc: '',
    subject: prefixed('Fwd', mail.subject),
    body: withSignature(account, '', `${head}\n\n${mail.text.slice(0, MAX_QUOTE)}\n`),
    inReplyTo: '',
    references: '',
  };
}
