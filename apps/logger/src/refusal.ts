import type { Refusal } from '@resplice/site-config';

const REASONS = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
} as const;

const SENTENCES = {
  502: 'The server failed while it handled this request; it was not tried again.',
  503: 'No server is available; try again soon.',
} as const;

/** What a client is told in a back end's place. */
export type Answer = Omit<Refusal, 'kind' | 'status'> & { status: keyof typeof REASONS };

/** When no back end can, or may, answer. */
export function failure(status: keyof typeof SENTENCES): Answer {
  return { status, reason: SENTENCES[status] };
}

/** A complete response that leaves the connection open, unless `closes` (RFC 9110 §15.5, §15.6). */
export function refusal({ status, reason, challenge }: Answer, method: string, closes: boolean): Uint8Array {
  const body = `${status} ${REASONS[status]}: ${reason}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    ...(challenge === undefined ? [] : [`WWW-Authenticate: ${challenge}`]),
    ...(status === 503 ? ['Retry-After: 5'] : []),
    ...(closes ? ['Connection: close'] : []),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : body}`, 'latin1');
}
