/** What an SMTP server says to a command (RFC 5321 4.2). */
export interface Reply {
  /** 200 to 599 */
  readonly code: number;
  /** As it came: all of its lines, with their line ends; a character for each byte. */
  readonly text: string;
}

/** @param text one line, with its enhanced status code (RFC 3463) first */
export function reply(code: number, text: string): Reply {
  return { code, text: `${code} ${text}\r\n` };
}

/** Accepted, or refused for good: asked again, the answer would be the same. */
export function isSettled({ code }: Reply): boolean {
  return code < 400 || code >= 500;
}

export const isPositive = ({ code }: Reply): boolean => code < 400;

/** Whether two replies lead a client the same way. */
export function isAlike(a: Reply, b: Reply): boolean {
  return Math.floor(a.code / 100) === Math.floor(b.code / 100);
}

/** Longest reply, bytes: that to EHLO has the most lines. */
const MAX_REPLY = 65_536;

/** Takes replies out of bytes that come in any pieces. */
export class ReplyParser {
  #held = '';

  /**
   * @returns the replies that have become complete
   * @throws RangeError when these are no replies
   */
  take(bytes: Buffer): Reply[] {
    this.#held += bytes.toString('latin1');
    const replies: Reply[] = [];
    for (let from = 0, at = 0; ; ) {
      const end = this.#held.indexOf('\n', at);
      if (end < 0) {
        this.#held = this.#held.slice(from);
        break;
      }
      const line = this.#held.slice(at, end + 1);
      const match = /^([2-5]\d\d)([ -]|\r?\n)/.exec(line);
      if (match === null) throw new RangeError(`no reply: ${JSON.stringify(line.slice(0, 80))}`);
      at = end + 1;
      if (match[2] === '-') continue;
      replies.push({ code: Number(match[1]), text: this.#held.slice(from, at) });
      from = at;
    }
    if (this.#held.length > MAX_REPLY) throw new RangeError(`a reply of more than ${MAX_REPLY} bytes`);
    return replies;
  }
}

/** Extensions that a dialogue may use and still be followed and taken over. */
const EXTENSIONS = /^(PIPELINING|SIZE|8BITMIME|SMTPUTF8|ENHANCEDSTATUSCODES|DSN|HELP)\b/i;
/** Mechanisms whose challenges are the same each time. */
const MECHANISMS = ['PLAIN', 'LOGIN'];

/** An answer to EHLO without the extensions that could not be followed: TLS, chunks, other mechanisms. */
export function withoutExtensions({ code, text }: Reply): Reply {
  const [first = '', ...rest] = text
    .split(/\r?\n/)
    .filter(line => line !== '')
    .map(line => line.slice(4));
  const known = rest.flatMap(line => {
    if (EXTENSIONS.test(line)) return [line];
    if (!/^AUTH[ =]/i.test(line)) return [];
    const mechanisms = line
      .slice(5)
      .toUpperCase()
      .split(/\s+/)
      .filter(each => MECHANISMS.includes(each));
    return mechanisms.length > 0 ? [`AUTH ${mechanisms.join(' ')}`] : [];
  });
  const lines = [first, ...known];
  return {
    code,
    text: lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : ' '}${line}\r\n`).join(''),
  };
}
