/** What a proxy says itself when no back end can. Every answer closes the connection. */
const ANSWERS = {
  400: 'Bad Request',
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
 * @param method of the request, if it could be read: HEAD gets no content (RFC 9110 §9.3.2)
 */
export function renderAnswer(
  status: AnswerStatus,
  reason: string,
  method?: string,
  now = new Date(),
): Uint8Array {
  const text = `${status} ${ANSWERS[status]}\n${reason}\n`;
  const head = [
    `HTTP/1.1 ${status} ${ANSWERS[status]}`,
    `Date: ${now.toUTCString()}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Cache-Control: no-store',
    ...(status === 503 ? ['Retry-After: 1'] : []),
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : text}`);
}
