// Points of a letter's way at which a test can have this server stop itself (SIGSTOP): whatever becomes of it there, the letter is
// to be delivered once. Off unless a directory is named; then a file in it, named after a point, stops the next letter that
// gets there, once.

import { existsSync, unlinkSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';

export const breakpoints = [
  /** Nothing was said to the SMTP server but greetings and who we are. */
  'before-mail',
  /** It has the message, but for its end. */
  'inside-data',
  /** It has all, and its answer has not been read. */
  'after-dot',
  /** Its answer has been read, and nothing of it is written down. */
  'after-250',
  /** All is written down, and nothing is said to the browser. */
  'before-response',
  /** The browser has half of its answer. */
  'inside-response',
] as const;
export type Breakpoint = (typeof breakpoints)[number];

/** Until every thread has stopped: SIGSTOP need not stop the caller before its system call returns. */
const STOPPED_MS = 20;
const DOT = '\r\n.\r\n';

export class Breakpoints {
  readonly #directory: string | undefined;

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  #isWanted(point: Breakpoint): boolean {
    return this.#directory !== undefined && existsSync(join(this.#directory, point));
  }

  pass(point: Breakpoint): void {
    if (!this.#isWanted(point)) return;
    unlinkSync(join(this.#directory!, point));
    process.kill(process.pid, 'SIGSTOP');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STOPPED_MS);
  }

  /** Has an answer that is still to be written pass its middle. */
  watchAnswer({ socket }: ServerResponse): void {
    if (this.#directory === undefined || socket === null) return;
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    // Hides the prototype's, until the answer's first bytes come: its head, and behind it in the same piece a body that is a text.
    socket.write = (...args: unknown[]): boolean => {
      delete (socket as { write?: unknown }).write;
      if (!this.#isWanted('inside-response')) return write(...args);
      const [chunk, encoding, ...rest] = args;
      const bytes =
        typeof chunk === 'string'
          ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
          : (chunk as Buffer);
      const half = Math.floor(bytes.length / 2);
      // What is corked would not be with the kernel when this process stops.
      const corks = socket.writableCorked;
      for (let i = 0; i < corks; i++) socket.uncork();
      write(bytes.subarray(0, half));
      this.pass('inside-response');
      for (let i = 0; i < corks; i++) socket.cork();
      return write(bytes.subarray(half), ...(typeof encoding === 'function' ? [encoding] : rest));
    };
  }

  /** Has a dialogue with the SMTP server pass its points. */
  watch(socket: Socket): Socket {
    if (this.#directory === undefined) return socket;
    let tail = '';
    let ended = false;
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = (...args: unknown[]): boolean => {
      // A message may be long, and its ends tell enough.
      const bytes = Buffer.isBuffer(args[0]) ? args[0] : Buffer.from(String(args[0]));
      if (/^MAIL FROM:/i.test(bytes.toString('latin1', 0, 10))) this.pass('before-mail');
      tail = (tail + bytes.subarray(-DOT.length).toString('latin1')).slice(-DOT.length);
      const isEnd = tail === DOT && !ended;
      if (isEnd) this.pass('inside-data');
      const room = write(...args);
      if (isEnd) this.pass('after-dot');
      ended ||= isEnd;
      return room;
    };
    // After all else has heard it. A listener of ours would have it flow before anybody listens.
    const emit = socket.emit.bind(socket) as (...args: unknown[]) => boolean;
    socket.emit = (...args: unknown[]): boolean => {
      const heard = emit(...args);
      if (ended && args[0] === 'data') this.pass('after-250');
      return heard;
    };
    return socket;
  }
}
