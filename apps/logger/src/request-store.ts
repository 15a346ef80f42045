import { randomUUID } from 'node:crypto';
import { mkdirSync, readSync, statfsSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Of all requests together, in memory, bytes: beyond, each goes to disk, or is not kept. */
const MOST_HELD = 512 << 20;

/** `f_type` of a tmpfs (statfs(2)). */
const TMPFS = 0x0102_1994;

/** Why and where a request could not go to disk. */
export type SpillFailure = (error: Error) => void;

interface Limits {
  /** Memory of a connection, bytes. */
  requestBytes: number;
  /** The longest requests that are kept, bytes; 0: nothing goes to disk. */
  spillBytes: number;
}

/** Where requests are kept: how much of each, and how much of all. */
export class RequestStore {
  readonly #limits: Limits;
  readonly #directory: string;
  readonly #mostHeld: number;
  readonly #onFailure: SpillFailure;
  #held = 0;
  #spilled = 0;

  /**
   * Makes the directory if it is not there.
   *
   * @param options.limits may change
   * @param options.directory of the files; they have no names, so that nothing is left when the daemon dies
   * @param options.mostHeld memory of all together, bytes
   * @throws Error if the directory cannot be made
   */
  constructor(options: {
    limits: Limits;
    directory: string;
    mostHeld?: number;
    onFailure: SpillFailure;
  }) {
    this.#limits = options.limits;
    this.#directory = options.directory;
    this.#mostHeld = options.mostHeld ?? MOST_HELD;
    this.#onFailure = options.onFailure;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** A connection's unfinished requests may have so much memory, bytes. */
  get memory(): number {
    return this.#limits.requestBytes;
  }

  /** Whether anything goes to disk. */
  get spills(): boolean {
    return this.#limits.spillBytes > 0;
  }

  /** The longest that are kept, bytes. */
  get longest(): number {
    return Math.max(this.#limits.requestBytes, this.#limits.spillBytes);
  }

  /** Whether what goes "to disk" stays in memory. */
  get isInMemory(): boolean {
    return this.spills && statfsSync(this.#directory).type === TMPFS;
  }

  /** Bytes in memory, of all. */
  get held(): number {
    return this.#held;
  }

  /** Bytes on disk, of all. */
  get spilled(): number {
    return this.#spilled;
  }

  get isFull(): boolean {
    return this.#held > this.#mostHeld;
  }

  hold(bytes: number): void {
    this.#held += bytes;
  }

  /** @param base offset of the first byte that will be written */
  open(base: number): Spill {
    return new Spill(this.#directory, base, {
      onFailure: this.#onFailure,
      onGrown: bytes => {
        this.#spilled += bytes;
      },
    });
  }
}

/** The file of one connection: a piece of its stream. It is gone when it is closed, or when the daemon is. */
export class Spill {
  readonly #base: number;
  readonly #path: string;
  readonly #events: { onFailure: SpillFailure; onGrown(bytes: number): void };
  #file: FileHandle | undefined;
  #size = 0;
  #isBusy = false;
  #isClosed = false;

  constructor(
    directory: string,
    base: number,
    events: { onFailure: SpillFailure; onGrown(bytes: number): void },
  ) {
    this.#base = base;
    this.#path = join(directory, randomUUID());
    this.#events = events;
  }

  /**
   * One call at a time.
   *
   * @param at offset of the first byte
   * @returns whether all is in the file; if not, the failure has been told
   */
  async append(pieces: Uint8Array[], at: number): Promise<boolean> {
    this.#isBusy = true;
    try {
      if (!this.#file) {
        this.#file = await open(this.#path, 'wx+', 0o600);
        await unlink(this.#path);
      }
      let position = at - this.#base;
      // writev may be short where the disk is full: the next call says so.
      for (let rest = pieces; rest.length > 0; ) {
        const { bytesWritten } = await this.#file.writev(rest.slice(0, 512), position);
        position += bytesWritten;
        rest = behind(rest, bytesWritten);
      }
      this.#events.onGrown(position - this.#size);
      this.#size = position;
      return true;
    } catch (error) {
      this.#events.onFailure(error as Error);
      return false;
    } finally {
      this.#isBusy = false;
      if (this.#isClosed) this.#release();
    }
  }

  /** @returns whether all of `into` could be filled with what begins at offset `at` */
  read(into: Uint8Array, at: number): boolean {
    if (!this.#file) return false;
    try {
      let filled = 0;
      while (filled < into.length) {
        const position = at - this.#base + filled;
        const count = readSync(this.#file.fd, into, filled, into.length - filled, position);
        if (count === 0) throw new Error(`${this.#path} ends after ${position} bytes`);
        filled += count;
      }
      return true;
    } catch (error) {
      this.#events.onFailure(error as Error);
      return false;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isBusy) this.#release();
  }

  #release(): void {
    this.#events.onGrown(-this.#size);
    this.#size = 0;
    this.#file?.close().catch(this.#events.onFailure);
    this.#file = undefined;
  }
}

/** What is left of `pieces` behind their first `count` bytes. */
function behind(pieces: Uint8Array[], count: number): Uint8Array[] {
  let index = 0;
  let rest = count;
  while (index < pieces.length && rest >= pieces[index]!.length) rest -= pieces[index++]!.length;
  const left = pieces.slice(index);
  if (rest > 0) left[0] = left[0]!.subarray(rest);
  return left;
}
