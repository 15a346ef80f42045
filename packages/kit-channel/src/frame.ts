// Frames on a channel: u32 length of what follows, u32 length of the header, header (JSON), body.

/** Of a whole frame; longer ones end the channel. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Both lengths. */
const PREFIX = 8;

export interface Message {
  readonly header: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** What is not a frame. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/**
 * A frame, in pieces to be written one after the other.
 * @throws FrameError when it would be too long
 */
export function frame(header: object, body: Uint8Array = new Uint8Array(0)): Buffer[] {
  const text = Buffer.from(JSON.stringify(header));
  const length = PREFIX + text.length + body.length;
  if (length > MAX_FRAME_BYTES)
    throw new FrameError(`a message of ${length} bytes, ${MAX_FRAME_BYTES} at most`);
  const head = Buffer.allocUnsafe(PREFIX + text.length);
  head.writeUInt32BE(length - 4, 0);
  head.writeUInt32BE(text.length, 4);
  text.copy(head, PREFIX);
  return body.length === 0 ? [head] : [head, Buffer.from(body.buffer, body.byteOffset, body.length)];
}

/** Finds frames in a stream of bytes. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;
  /** Of the frame that is being read, once its prefix is there. */
  #wanted = PREFIX;

  /** Part of a frame has come, and the rest has not. */
  get isAmid(): boolean {
    return this.#length > 0;
  }

  /**
   * The messages that these bytes complete.
   * @throws FrameError; nothing can be read after that
   */
  *read(bytes: Buffer): Generator<Message> {
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    while (this.#length >= this.#wanted) {
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#length);
      const total = 4 + all.readUInt32BE(0);
      const headerLength = all.readUInt32BE(4);
      if (total > MAX_FRAME_BYTES || PREFIX + headerLength > total) {
        throw new FrameError(`no frame: ${total} bytes with a header of ${headerLength}`);
      }
      this.#chunks = [all];
      if (this.#length < total) {
        this.#wanted = total;
        return;
      }
      const rest = all.subarray(total);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      this.#wanted = PREFIX;
      // A copy: the body may be kept for minutes, what surrounds it should not be.
      const body = Buffer.from(all.subarray(PREFIX + headerLength, total));
      yield { header: headerOf(all.toString('utf8', PREFIX, PREFIX + headerLength)), body };
    }
  }
}

function headerOf(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FrameError(`a header that is not JSON: ${(cause as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FrameError('a header that is no object');
  }
  return value as Record<string, unknown>;
}
