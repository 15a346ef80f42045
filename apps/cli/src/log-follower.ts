import { closeSync, openSync, readSync } from 'node:fs';
import type { LogFile } from '@resplice/engines';

const chunkBytes = 64 * 1024;

/** Reads one growing log by whole lines, from its start. */
export class LogFollower {
  readonly #path: string;
  readonly #prefix: string;
  #offset = 0;
  #unfinished = Buffer.alloc(0);

  constructor({ component, process, path }: LogFile, { named }: { named: boolean }) {
    this.#path = path;
    this.#prefix = named ? `${component}/${process} | ` : '';
  }

  /** The complete lines that came since the last call; none while there is no such file. */
  read(): string[] {
    let descriptor: number;
    try {
      descriptor = openSync(this.#path, 'r');
    } catch {
      return [];
    }
    const lines: string[] = [];
    try {
      const chunk = Buffer.alloc(chunkBytes);
      for (;;) {
        const length = readSync(descriptor, chunk, 0, chunk.length, this.#offset);
        if (length === 0) return lines;
        this.#offset += length;
        lines.push(...this.#complete(chunk.subarray(0, length)));
      }
    } finally {
      closeSync(descriptor);
    }
  }

  /** Bytes, not text, are held back: a chunk may end inside a character. */
  #complete(chunk: Buffer): string[] {
    const bytes = Buffer.concat([this.#unfinished, chunk]);
    const end = bytes.lastIndexOf(0x0a) + 1;
    this.#unfinished = Buffer.from(bytes.subarray(end));
    if (end === 0) return [];
    return bytes
      .toString('utf8', 0, end - 1)
      .split('\n')
      .map(line => this.#prefix + line);
  }

  /** A last line that nothing has ended. */
  rest(): string[] {
    return this.#unfinished.length > 0 ? [this.#prefix + this.#unfinished.toString('utf8')] : [];
  }
}
