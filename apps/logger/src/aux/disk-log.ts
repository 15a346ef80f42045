// The auxiliary logger's memory: an append-only log on disk. Records that must outlive us are on the disk before append()
// resolves; many that come at once share one fdatasync. What is old is forgotten by the file.

import { readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Frame, nextFrameAt, readFrame, writeFrame } from './frame.ts';

/** Where a record lies. */
export interface Place {
  readonly segment: number;
  readonly at: number;
  readonly bytes: number;
}

/** What the log is asked to write, as much of it as it needs. */
export type LogFile = Pick<FileHandle, 'writev' | 'write' | 'datasync' | 'close'>;

export interface DiskLogOptions {
  readonly directory: string;
  /** Records that are older are forgotten, ms. */
  readonly keepMs: number;
  /** The oldest are forgotten beyond, bytes. */
  readonly maxBytes: number;
  /** Called for each record found at start, oldest first. */
  onFound(frame: Frame, place: Place): void;
  /** Everything in that segment is gone. */
  onForgotten(segment: number): void;
  /** Whether a segment may be forgotten before its time. Earlier ones always go first. */
  isOfNoUse?(segment: number): boolean;
  /** A write failed, or the log can be written again. */
  onState(error: Error | undefined): void;
  /** Creates a file for appending; replaced in tests. */
  create?(path: string): Promise<LogFile>;
}

interface Segment {
  readonly number: number;
  readonly path: string;
  /** Wall clock, ms since 1970. */
  readonly createdMs: number;
  newestMs: number;
  /** Of whole records. */
  bytes: number;
  /** Up to here the file is written, behind its records with zeros. */
  laidOut: number;
  /** Undefined for those that were found at start. */
  file: LogFile | undefined;
  /** A write failed: nothing more goes there. */
  broken: boolean;
}

interface Waiting {
  readonly frame: Buffer;
  readonly durable: boolean;
  resolve(place: Place): void;
  reject(error: Error): void;
}

/** Written, and to be synced. */
interface Written extends Waiting {
  readonly segment: Segment;
  readonly place: Place;
}

const SEGMENT_BYTES = 64 * 1_048_576;
/** Forgetting goes by segments: none spans more than this part of what is kept. */
const SPAN = 6;
/**
 * Zeros are written so far ahead, bytes: a sync that need not make the file longer is twice as fast, and ten times so when others
 * write to the same disk.
 */
const AHEAD = Buffer.alloc(262_144);
/** Written at once, bytes. */
const BATCH_BYTES = 16 * 1_048_576;
const NAME = /^auxiliary-(\d{8})\.log$/;

export class LogWriteError extends Error {
  constructor(path: string, cause: unknown) {
    super(`the log ${path} cannot be written: ${(cause as Error).message}`, { cause });
    this.name = 'LogWriteError';
  }
}

export class DiskLog {
  readonly #options: DiskLogOptions;
  readonly #segments: Segment[] = [];
  #next = 1;
  #waiting: Waiting[] = [];
  #written: Written[] = [];
  #writing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #failed = false;
  readonly #timer: NodeJS.Timeout;
  /** Syncs, the records that they made durable, and what they cost. */
  readonly cost = { syncs: 0, records: 0, ms: 0, longestMs: 0 };
  /** Bytes of a record that the last daemon had not finished, or of what cannot be read. */
  tornBytes = 0;
  tornRecords = 0;
  /** Places in the middle where the disk gave something else back. */
  spoiltRecords = 0;
  /** Segments that were forgotten before their time, for lack of room. */
  forgottenEarly = 0;

  private constructor(options: DiskLogOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#forget(), Math.max(1000, options.keepMs / 60));
    this.#timer.unref();
  }

  /** Reads what is there; a torn end is cut off. */
  static async open(options: DiskLogOptions): Promise<DiskLog> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const log = new DiskLog(options);
    for (const name of readdirSync(options.directory).sort()) {
      const number = NAME.exec(name)?.[1];
      if (number !== undefined) await log.#load(join(options.directory, name), Number(number));
    }
    await log.#forget();
    return log;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get segments(): number {
    return this.#segments.length;
  }

  /** The last write failed: the next one is tried all the same. */
  get isFailing(): boolean {
    return this.#failed;
  }

  /**
   * @param durable resolves only when the record is on the disk, not only with the kernel, which outlives us but not the host
   * @throws LogWriteError: the record may be there or not
   */
  append(head: object, durable: boolean, body?: Uint8Array): Promise<Place> {
    const frame = writeFrame(head, body);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ frame, durable, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** @throws when it is gone or cannot be read */
  async read({ segment, at, bytes }: Place): Promise<Frame> {
    const file = await open(this.#path(segment));
    try {
      const { buffer } = await file.read(Buffer.alloc(bytes), 0, bytes, at);
      const frame = readFrame(buffer);
      if (frame === undefined) throw new Error(`the log ${this.#path(segment)} has no record at ${at}`);
      return frame;
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#syncing;
    for (const { file } of this.#segments) await file?.close();
  }

  #path(number: number): string {
    return join(this.#options.directory, `auxiliary-${String(number).padStart(8, '0')}.log`);
  }

  async #load(path: string, number: number): Promise<void> {
    const bytes = readFileSync(path);
    const { mtimeMs } = statSync(path);
    let at = 0;
    for (;;) {
      const frame = readFrame(bytes, at);
      if (frame === undefined) {
        // Whole ones behind it: it is not the end that is torn, but this one that the disk has spoilt.
        const next = nextFrameAt(bytes, at);
        if (next === undefined) break;
        this.spoiltRecords++;
        at = next;
        continue;
      }
      this.#options.onFound(frame, { segment: number, at, bytes: frame.bytes });
      at += frame.bytes;
    }
    this.#next = Math.max(this.#next, number + 1);
    const end = bytes.findLastIndex(byte => byte !== 0) + 1;
    if (at < end) {
      this.tornRecords++;
      this.tornBytes += end - at;
    }
    if (at < bytes.length) truncateSync(path, at);
    if (at === 0) return await rm(path);
    const common = { number, path, bytes: at, laidOut: at, file: undefined, broken: true };
    this.#segments.push({ ...common, createdMs: mtimeMs, newestMs: mtimeMs });
  }

  async #write(): Promise<void> {
    // Those that come in the same turn go together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch: Waiting[] = [];
      for (let bytes = 0; this.#waiting.length > 0 && bytes < BATCH_BYTES; ) {
        const next = this.#waiting.shift()!;
        bytes += next.frame.length;
        batch.push(next);
      }
      await this.#writeBatch(batch);
    }
    this.#writing = undefined;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    let segment: Segment | undefined;
    try {
      segment = await this.#current();
      const bytes = batch.reduce((sum, { frame }) => sum + frame.length, 0);
      const at = segment.bytes;
      await this.#layOut(segment, bytes);
      const buffers = batch.map(({ frame }) => frame);
      for (let done = 0; done < bytes; ) {
        done += (await segment.file!.writev(remaining(buffers, done), at + done)).bytesWritten;
      }
      segment.newestMs = Date.now();
      segment.bytes += bytes;
      this.#note(undefined);
      let place = at;
      for (const each of batch) {
        const written = {
          ...each,
          segment,
          place: { segment: segment.number, at: place, bytes: each.frame.length },
        };
        place += each.frame.length;
        if (each.durable) this.#written.push(written);
        else each.resolve(written.place);
      }
      if (this.#written.length > 0) this.#syncing ??= this.#sync();
    } catch (cause) {
      this.#fail(batch, segment, cause);
    }
  }

  async #layOut(segment: Segment, bytes: number): Promise<void> {
    const end = segment.bytes + bytes;
    if (end <= segment.laidOut) return;
    const from = Math.max(end, segment.laidOut);
    try {
      await segment.file!.write(AHEAD, 0, AHEAD.length, from);
      segment.laidOut = from + AHEAD.length;
    } catch {
      // No room for zeros; there may be some for the records.
      segment.laidOut = from;
    }
  }

  async #sync(): Promise<void> {
    while (this.#written.length > 0) {
      const { segment } = this.#written[0]!;
      const batch = this.#written.filter(each => each.segment === segment);
      this.#written = this.#written.filter(each => each.segment !== segment);
      const start = performance.now();
      try {
        await segment.file!.datasync();
        const took = performance.now() - start;
        this.cost.syncs++;
        this.cost.records += batch.length;
        this.cost.ms += took;
        this.cost.longestMs = Math.max(this.cost.longestMs, took);
        for (const each of batch) each.resolve(each.place);
      } catch (cause) {
        this.#fail(batch, segment, cause);
      }
    }
    this.#syncing = undefined;
  }

  /** A file that failed once is not trusted again: what it holds of the batch is torn, or the kernel has dropped it. */
  #fail(batch: readonly Waiting[], segment: Segment | undefined, cause: unknown): void {
    const error = new LogWriteError(segment?.path ?? this.#options.directory, cause);
    if (segment !== undefined) {
      segment.broken = true;
      if (segment.bytes === 0) this.#drop(segment);
    }
    this.#note(error);
    for (const each of batch) each.reject(error);
  }

  /** Nothing is in it: while the disk is full, one would come with each try. */
  #drop(segment: Segment): void {
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    const gone = Promise.all([segment.file?.close(), rm(segment.path, { force: true })]);
    gone.catch(() => {});
  }

  #note(error: Error | undefined): void {
    const failed = error !== undefined;
    if (failed !== this.#failed) {
      this.#failed = failed;
      this.#options.onState(error);
    }
  }

  async #current(): Promise<Segment> {
    const last = this.#segments.at(-1);
    const young = (last?.createdMs ?? 0) > Date.now() - this.#options.keepMs / SPAN;
    const size = Math.min(SEGMENT_BYTES, this.#options.maxBytes / SPAN);
    if (last !== undefined && !last.broken && young && last.bytes < size) return last;
    const number = this.#next++;
    const path = this.#path(number);
    const file = await (this.#options.create ?? createFile)(path);
    const now = Date.now();
    const segment = {
      number,
      path,
      createdMs: now,
      newestMs: now,
      bytes: 0,
      laidOut: 0,
      file,
      broken: false,
    };
    this.#segments.push(segment);
    await this.#forget();
    return segment;
  }

  /** All but the last one, which may be in use. */
  async #forget(): Promise<void> {
    const { keepMs, maxBytes, onForgotten, isOfNoUse } = this.#options;
    const oldest = Date.now() - keepMs;
    while (this.#segments.length > 1) {
      const [first] = this.#segments;
      const isOld = first!.newestMs < oldest || isOfNoUse?.(first!.number) === true;
      if (!isOld && this.bytes <= maxBytes) return;
      if (this.#written.some(({ segment }) => segment === first)) return;
      if (!isOld) this.forgottenEarly++;
      this.#segments.shift();
      onForgotten(first!.number);
      await first!.file?.close();
      await rm(first!.path, { force: true });
    }
  }
}

/** What is left of these after so many bytes. */
function remaining(buffers: readonly Buffer[], done: number): Buffer[] {
  let skip = done;
  const left: Buffer[] = [];
  for (const buffer of buffers) {
    if (skip < buffer.length) left.push(buffer.subarray(skip));
    skip = Math.max(0, skip - buffer.length);
  }
  return left;
}

async function createFile(path: string): Promise<FileHandle> {
  const file = await open(path, 'wx', 0o600);
  // The name too has to be on the disk.
  const directory = await open(join(path, '..'));
  await directory.sync();
  await directory.close();
  return file;
}
