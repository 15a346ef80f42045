// The form in which a message is written, as a browser posts it: fields, and files of up to 25 MB together.

import { clean, cleanLine } from '@resplice/mailstore';
import type { FastifyRequest } from 'fastify';
import type { DraftFields, NewFile } from '../store/drafts.ts';

/** All files of one message together, bytes. */
export const MAX_FILES_BYTES = 25_000_000;
const MAX_FILES = 100;
const MAX_LINE = 20_000;
const MAX_BODY = 1_000_000;
/** What is typed, all fields together, characters. */
const MAX_TYPED = 3_000_000;
const FIELDS = new Set([
  ...['recipients', 'cc', 'bcc', 'subject', 'body', 'inReplyTo', 'references'],
  ...['edition', 'action', 'remove', 'forwards', 'csrf'],
]);

export interface ComposeForm {
  readonly fields: DraftFields;
  readonly edition: number;
  readonly action: string;
  /** Id of a file to be removed. */
  readonly remove: string | undefined;
  /** Id of a message whose files come along. */
  readonly forwards: string | undefined;
  readonly csrf: string;
  readonly files: readonly NewFile[];
  /** Files that were too large, or too many. */
  readonly dropped: readonly string[];
}

function number(text: string | undefined): string | undefined {
  return text !== undefined && /^[1-9]\d{0,17}$/.test(text) ? text : undefined;
}

function assemble(
  given: Readonly<Record<string, string>>,
  files: readonly NewFile[],
  dropped: readonly string[],
): ComposeForm {
  const line = (name: string): string => cleanLine((given[name] ?? '').slice(0, MAX_LINE));
  return {
    fields: {
      recipients: line('recipients'),
      cc: line('cc'),
      bcc: line('bcc'),
      subject: line('subject'),
      body: clean((given.body ?? '').slice(0, MAX_BODY)).replace(/\r\n?/g, '\n'),
      inReplyTo: line('inReplyTo'),
      references: line('references'),
    },
    edition: Math.min(Math.max(1, Math.trunc(Number(given.edition)) || 1), 1_000_000_000),
    action: given.action ?? '',
    remove: number(given.remove),
    forwards: number(given.forwards),
    csrf: given.csrf ?? '',
    files,
    dropped,
  };
}

/** What was posted as `multipart/form-data`. Reads all of it, also of files that are not kept: nothing typed is lost. */
async function readMultipart(request: FastifyRequest, isKnown: boolean): Promise<ComposeForm> {
  const given: Record<string, string> = {};
  const files: NewFile[] = [];
  const dropped: string[] = [];
  let total = 0;
  let typed = 0;
  for await (const part of request.parts()) {
    if (part.type === 'field') {
      if (typeof part.value !== 'string' || !FIELDS.has(part.fieldname)) continue;
      typed += part.value.length;
      if (typed <= MAX_TYPED) given[part.fieldname] ??= part.value;
      continue;
    }
    const name = cleanLine(part.filename.slice(0, 255)).replace(/[/\\]/g, '_');
    const chunks: Buffer[] = [];
    let size = 0;
    let kept = isKnown && files.length < MAX_FILES;
    for await (const chunk of part.file) {
      size += (chunk as Buffer).length;
      kept &&= total + size <= MAX_FILES_BYTES;
      if (kept) chunks.push(chunk as Buffer);
      else chunks.length = 0;
    }
    // A browser posts an empty part where no file was chosen.
    if (name === '' && size === 0) continue;
    if (!kept) {
      dropped.push(name);
      continue;
    }
    total += size;
    const type = /^[\w.+-]+\/[\w.+-]+$/.test(part.mimetype) ? part.mimetype : 'application/octet-stream';
    files.push({ name, type: type.toLowerCase(), bytes: Buffer.concat(chunks) });
  }
  return assemble(given, files, dropped);
}

/** @param isKnown whether somebody is logged in: nobody else's files are held in memory */
export async function readComposeForm(request: FastifyRequest, isKnown: boolean): Promise<ComposeForm> {
  if (request.isMultipart()) return await readMultipart(request, isKnown);
  const body = (request.body ?? {}) as Record<string, unknown>;
  const given = Object.fromEntries(
    Object.entries(body).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
  return assemble(given, [], []);
}
