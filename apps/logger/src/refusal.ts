const TEXT = {
  502: ['Bad Gateway', 'The server failed while it handled this request; it was not tried again.'],
  503: ['Service Unavailable', 'No server is available; try again soon.'],
} as const;

/** A complete response that leaves the connection open (RFC 9110 §15.6.3, §15.6.4). */
export function refusal(status: 502 | 503, method: string, closes: boolean): Uint8Array {
  const [reason, sentence] = TEXT[status];
  const body = `${status} ${reason}: ${sentence}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    ...(status === 503 ? ['Retry-After: 5'] : []),
    ...(closes ? ['Connection: close'] : []),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : body}`, 'latin1');
}
