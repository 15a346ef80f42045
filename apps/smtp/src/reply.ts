/** What a client is told instead of 250. 4xx: try again later; 5xx: do not (RFC 5321 4.2.1, RFC 3463). */
export class SmtpReply extends Error {
  readonly responseCode: number;

  /** @param text with its enhanced status code first */
  constructor(responseCode: number, text: string, options?: ErrorOptions) {
    super(text, options);
    this.name = 'SmtpReply';
    this.responseCode = responseCode;
  }
}

/** The reply to a problem of ours: the client keeps the message and comes again. */
export function tryLater(cause: unknown): SmtpReply {
  return new SmtpReply(451, '4.3.0 This server has a problem of its own: try again later', { cause });
}
