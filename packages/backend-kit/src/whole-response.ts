// A response as a record has it: its parts in whatever form they are given, and its bytes, the same wherever it is written.

import type { ClientRequest, ServerResponse } from 'node:http';
import type { JournalRecord } from '@resplice/kit-channel';

export type WholeResponse = NonNullable<JournalRecord['response']>;

/** Header fields in any of the forms that Node takes. */
export function pairsOf(fields: object | unknown[] | undefined): [string, string | string[]][] {
  if (fields === undefined || fields === null) return [];
  if (!Array.isArray(fields)) {
    return Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.map(String) : String(value)]],
    );
  }
  if (Array.isArray(fields[0])) return fields as [string, string][];
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([String(fields[i]), String(fields[i + 1])]);
  return pairs;
}

/** The head as it was recorded; the body is to follow. */
export function writeHead(response: ServerResponse, { status, reason, headers }: WholeResponse): void {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.sendDate = false;
  // Node goes by this, not by the field, once a field of the name has been removed.
  response.shouldKeepAlive = !headers.some(
    (value, i) => i % 2 === 1 && value === 'close' && headers[i - 1] === 'Connection',
  );
  response.writeHead(status, reason, headers);
}

/** Writes a response as it was recorded: the same bytes wherever it is done. */
export function writeWhole(response: ServerResponse, whole: WholeResponse, body: Buffer): void {
  const { trailers } = whole;
  writeHead(response, whole);
  if (trailers.length > 0) response.addTrailers(pairsOf(trailers) as [string, string][]);
  if (body.length > 0) response.end(body);
  else response.end();
}

/** Names as the application wrote them. Documented for requests, but of both kinds of message. */
export function rawNames(response: ServerResponse): string[] {
  return (response as unknown as Pick<ClientRequest, 'getRawHeaderNames'>).getRawHeaderNames();
}
