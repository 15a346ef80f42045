import { type Addresses, cleanLine, type Mail, type Person, parseMail } from './parsing.ts';

/** What lists and searches need of a message, so that its bytes need not be read for them. */
export interface Digest {
  readonly messageId: string;
  readonly subject: string;
  readonly addresses: Addresses;
  /** The text's beginning, one line. */
  readonly snippet: string;
  /** Bytes. */
  readonly size: number;
  readonly attachments: number;
  /** All that can be searched for. */
  readonly words: string;
}

const SNIPPET = 160;
/** Of the text, characters: an index entry has a limit, and so has anybody's patience. */
const SEARCHED = 50_000;
/** Of a header. */
const LONGEST = 1000;

function cut(people: readonly Person[]): readonly Person[] {
  return people.slice(0, 200).map(({ name, address }) => ({
    name: name.slice(0, LONGEST),
    address: address.slice(0, LONGEST),
  }));
}

export function digestOf(mail: Mail, size: number): Digest {
  const { from, to, cc, bcc, replyTo } = mail.addresses;
  const addresses = { from: cut(from), to: cut(to), cc: cut(cc), bcc: cut(bcc), replyTo: cut(replyTo) };
  const names = [...addresses.from, ...addresses.to, ...addresses.cc].flatMap(({ name, address }) => [
    name,
    address,
    address.replace('@', ' '),
  ]);
  return {
    messageId: mail.messageId.slice(0, LONGEST),
    subject: mail.subject.slice(0, LONGEST),
    addresses,
    snippet: cleanLine(mail.text.slice(0, 4 * SNIPPET))
      .slice(0, SNIPPET)
      .toWellFormed(),
    size,
    attachments: mail.files.filter(({ embedded }) => !embedded).length,
    words: [mail.subject.slice(0, LONGEST), ...names, mail.text.slice(0, SEARCHED).toWellFormed()].join(' '),
  };
}

export async function digest(raw: Buffer): Promise<Digest> {
  return digestOf(await parseMail(raw), raw.length);
}
