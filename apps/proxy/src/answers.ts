/** What a proxy says itself when no back end can. Every answer closes the connection. */
const ANSWERS = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
  505: 'HTTP Version Not Supported',
} as const;

export type AnswerStatus = keyof typeof ANSWERS;

/**
 * A complete response (RFC 9112 §4).
 *
 * @param reason one plain sentence for a person
 * @param more.method of the request, if it could be read: HEAD gets no content (RFC 9110 §9.3.2)
 * @param more.challenge 401: the value of `WWW-Authenticate` (RFC 9110 §11.6.1)
 */
export function renderAnswer(
  status: AnswerStatus,
  reason: string,
  more: { method?: string | undefined; challenge?: string | undefined; now?: Date } = {},
): Uint8Array {
  const { method, challenge, now = new Date() } = more;
  const text = `${status} ${ANSWERS[status]}\n${reason}\n`;
  const head = [
    `HTTP/1.1 ${status} ${ANSWERS[status]}`,
    `Date: ${now.toUTCString()}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Cache-Control: no-store',
    ...(challenge === undefined ? [] : [`WWW-Authenticate: ${challenge}`]),
    ...(status === 503 ? ['Retry-After: 1'] : []),
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : text}`);
}
