// What a back end says in a mail dialogue: lines, and between DATA and the final dot content.

import type { Readable } from 'node:stream';

/** The other side broke off. */
export class EndedError extends Error {
  constructor(what = 'the connection ended') {
    super(what);
    this.name = 'EndedError';
  }
}

/** The other side does what it must not. */
export class ViolationError extends Error {}

/** A command, bytes: RFC 4954 4.3 wants 12,288 for AUTH. */
const MAX_LINE = 16_384;
const END = Buffer.from('\r\n.\r\n');

export class Input {
  readonly #stream: Readable;
  #held: Buffer = Buffer.alloc(0);

  /** @param stream not flowing; errors of it are its owner's to hear */
  constructor(stream: Readable) {
    this.#stream = stream;
  }

  /**
   * The next line without its end, a character for each byte; undefined when the other side has ended between two lines.
   * @throws ViolationError for one that is too long
   */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#held.indexOf('\n');
      if (end > MAX_LINE || (end < 0 && this.#held.length > MAX_LINE)) {
        throw new ViolationError(`a line of more than ${MAX_LINE} bytes`);
      }
      if (end >= 0) {
        const line = this.#held.toString('latin1', 0, end).replace(/\r$/, '');
        this.#held = this.#held.subarray(end + 1);
        return line;
      }
      if (!(await this.#more())) return undefined;
    }
  }

  /** Lines of this kind that are here already, in a row up to and with one of the last kind; they stay. */
  linesAhead(kind: RegExp, last: RegExp): string[] {
    const lines: string[] = [];
    for (let from = 0; from < MAX_LINE; ) {
      const end = this.#held.indexOf('\n', from);
      const line = this.#held.toString('latin1', from, Math.max(end, from)).replace(/\r$/, '');
      if (end < 0 || !(kind.test(line) || last.test(line))) break;
      lines.push(line);
      if (last.test(line)) break;
      from = end + 1;
    }
    return lines;
  }

  /**
   * Content as it comes, its dots still doubled, up to and with the line end before the final dot; that is taken and not given.
   * @throws EndedError when the dot does not come
   */
  async *content(): AsyncGenerator<Buffer, void, undefined> {
    // The dot may be the first line: before it stands the end of the line with DATA.
    let window: Buffer = Buffer.concat([END.subarray(0, 2), this.#held]);
    let skip = 2;
    this.#held = Buffer.alloc(0);
    for (;;) {
      const end = window.indexOf(END);
      if (end >= 0) {
        this.#held = window.subarray(end + END.length);
        if (end + 2 > skip) yield window.subarray(skip, end + 2);
        return;
      }
      const cut = window.length - (END.length - 1);
      if (cut > skip) {
        yield window.subarray(skip, cut);
        window = window.subarray(cut);
        skip = 0;
      }
      if (!(await this.#more())) throw new EndedError('the content broke off');
      window = Buffer.concat([window, this.#held]);
      this.#held = Buffer.alloc(0);
    }
  }

  /** False: there will be no more. */
  async #more(): Promise<boolean> {
    const stream = this.#stream;
    for (;;) {
      const chunk: Buffer | null = stream.read();
      if (chunk !== null) {
        this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
        return true;
      }
      if (stream.readableEnded || stream.destroyed) return false;
      await new Promise<void>(resolve => {
        const events = ['readable', 'end', 'close', 'error'] as const;
        const wake = (): void => {
          for (const event of events) stream.off(event, wake);
          resolve();
        };
        for (const event of events) stream.on(event, wake);
      });
    }
  }
}
