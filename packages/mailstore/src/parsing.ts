// What a message says, whatever state it is in: broken MIME yields less, never an error.

import { type ParsedMail, simpleParser } from 'mailparser';

/** Longer HTML is not searched through for a preview, characters. */
const MAX_HTML = 1_000_000;

export interface Person {
  readonly name: string;
  readonly address: string;
}

export interface Addresses {
  readonly from: readonly Person[];
  readonly to: readonly Person[];
  readonly cc: readonly Person[];
  readonly bcc: readonly Person[];
  readonly replyTo: readonly Person[];
}

export interface MailFile {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
  /** Without its angle brackets; what the HTML's `cid:` refers to. */
  readonly cid: string | undefined;
  /** Shown within the HTML: not in the list of attachments. */
  readonly embedded: boolean;
}

export interface Mail {
  /** With its angle brackets; empty when there is none. */
  readonly messageId: string;
  readonly subject: string;
  readonly addresses: Addresses;
  readonly date: Date | undefined;
  readonly inReplyTo: string;
  readonly references: readonly string[];
  /** Plain text; made from the HTML where there is only that. */
  readonly text: string;
  readonly html: string | undefined;
  readonly files: readonly MailFile[];
  /** Why the message could not be read as one. */
  readonly defect: string | undefined;
}

/** PostgreSQL's text holds no NUL; nobody wants to see other control characters either. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]/g, '').toWellFormed();
}

/** As one line: headers, names. */
export function cleanLine(text: string): string {
  return clean(text).replace(/\s+/g, ' ').trim();
}

type Field = ParsedMail['to'];

function people(field: Field): readonly Person[] {
  const objects = Array.isArray(field) ? field : field === undefined ? [] : [field];
  const flat = objects
    .flatMap(({ value }) => value)
    .flatMap(entry => (entry.group === undefined ? [entry] : entry.group));
  return flat.map(({ name, address }) => ({
    name: cleanLine(name ?? ''),
    address: cleanLine(address ?? ''),
  }));
}

const noAddresses: Addresses = { from: [], to: [], cc: [], bcc: [], replyTo: [] };

function asMail(parsed: ParsedMail): Mail {
  const references = typeof parsed.references === 'string' ? [parsed.references] : (parsed.references ?? []);
  const html = typeof parsed.html === 'string' ? clean(parsed.html) : undefined;
  return {
    messageId: cleanLine(parsed.messageId ?? ''),
    subject: cleanLine(parsed.subject ?? ''),
    addresses: {
      from: people(parsed.from),
      to: people(parsed.to),
      cc: people(parsed.cc),
      bcc: people(parsed.bcc),
      replyTo: people(parsed.replyTo),
    },
    date: parsed.date,
    inReplyTo: cleanLine(parsed.inReplyTo ?? ''),
    references: references.map(cleanLine),
    text: clean(parsed.text ?? ''),
    html,
    files: parsed.attachments.map(({ filename, contentType, content, cid, related }) => ({
      name: cleanLine(filename ?? ''),
      type: cleanLine(contentType).toLowerCase(),
      content,
      cid,
      embedded: related === true && cid !== undefined && html?.includes(`cid:${cid}`) === true,
    })),
    defect: undefined,
  };
}

/** Never throws: of what cannot be parsed, the text is shown as it came. */
export async function parseMail(raw: Buffer): Promise<Mail> {
  try {
    return asMail(
      await simpleParser(raw, {
        keepCidLinks: true,
        skipTextToHtml: true,
        maxHtmlLengthToParse: MAX_HTML,
        checksumAlgo: false,
        keepDeliveryStatus: false,
      }),
    );
  } catch (error) {
    const shown = raw.subarray(0, MAX_HTML).toString('latin1');
    return {
      messageId: '',
      subject: '',
      addresses: noAddresses,
      date: undefined,
      inReplyTo: '',
      references: [],
      text: clean(shown),
      html: undefined,
      files: [],
      defect: (error as Error).message,
    };
  }
}
