import { after } from '@resplice/dataplane';
import type { ClientSpace } from './client-space.ts';
import { ResponseFraming, type ResponseSink } from './http/response-framing.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

/** Steps in which the kernel half is told to skip a long body: sequence numbers can be compared up to 2 GiB. */
const SKIP_STEP = 1 << 30;
/** Shorter bodies are not worth a word to the kernel half. */
const SKIP_LEAST = 16 << 10;

/** Whose responses are read. */
export interface ResponseOwner extends ResponseSink {
  /** The one whose response is due. */
  open(): Transaction | undefined;
  /** Whether anybody wants to know what comes. */
  isFollowed(): boolean;
  /** A response's first byte has come. */
  began(transaction: Transaction): void;
  /** Leaves word of what is unfinished. */
  note(): void;
}

/**
 * Reads what a server has been forwarded of: where its responses begin and end, and their beginnings into their records. The kernel half
 * is told what of a long body need not be told.
 */
export class ResponseReader {
  readonly #space: ClientSpace;
  readonly #tracks: Tracks;
  readonly #owner: ResponseOwner;
  readonly #framing = new ResponseFraming();
  /** Offset up to which the kernel half says nothing of the server's bytes. */
  #skippedTo = 0;
  /** What is being fed: a piece of the server's stream, and how much of it has been recorded. */
  #fed: { bytes: Uint8Array; start: number; end: number; at: number } | undefined;
  /** Offset behind a response that a former daemon has begun to read: it passes unread. */
  #unreadTo = 0;

  constructor(space: ClientSpace, tracks: Tracks, owner: ResponseOwner) {
    this.#space = space;
    this.#tracks = tracks;
    this.#owner = owner;
  }

  /** The next response begins at this offset. */
  startAt(offset: number): void {
    this.#framing.reset(offset);
    this.#space.outgoing.jump(offset);
  }

  /**
   * Goes on behind a response that a former daemon has begun to read.
   *
   * @param known offset behind the last byte that it knew of
   * @param end offset behind the response
   */
  passUnread(known: number, end: number): void {
    this.#skippedTo = this.#unreadTo = end;
    this.#framing.reset(end);
    this.#space.outgoing.jump(known);
    this.#skipUntil(end);
    // Nothing of it may be left to come.
    this.#passTo(known);
  }

  /** Bytes that have been forwarded. */
  read(at: number, bytes: Uint8Array, start: number, end: number): void {
    this.catchUp();
    const { outgoing, slot } = this.#space;
    outgoing.offer(at, bytes, start, end, this.#take);
    // Likewise with gaps as in the client's stream.
    const logged = this.#space.serverSequence(outgoing.end);
    if (after(logged, this.#tracks.serverLogged(slot))) this.#tracks.setServerLogged(slot, logged);
  }

  /** Bytes that are given in the server's place: read like its own. */
  speak(bytes: Uint8Array): void {
    const { outgoing } = this.#space;
    outgoing.offer(outgoing.end, bytes, 0, bytes.length, this.#take);
  }

  /** Moves on over what the kernel half was told to skip. */
  catchUp(): void {
    const { outgoing } = this.#space;
    if (this.#skippedTo <= outgoing.end) return;
    const to = Math.min(this.#skippedTo, this.#space.heard);
    if (to <= outgoing.end) return;
    const count = to - outgoing.end;
    outgoing.jump(to);
    if (this.#unreadTo > 0) this.#passTo(to);
    else this.#framing.skip(count, this.#sink);
    this.#skip();
  }

  /** Nobody reads on: the kernel half need not tell what comes. */
  skipAll(): void {
    this.#skipUntil(this.#space.outgoing.end + SKIP_STEP);
  }

  readonly #take = (bytes: Uint8Array, start: number, end: number, at: number): void => {
    if (!this.#owner.isFollowed()) {
      this.skipAll();
      return;
    }
    const unread = Math.min(Math.max(0, this.#unreadTo - at), end - start);
    if (unread > 0) this.#passTo(at + unread);
    if (unread < end - start) this.#feed(bytes, start + unread, end, at + unread);
  };

  #passTo(offset: number): void {
    if (offset < this.#unreadTo) return;
    this.#unreadTo = 0;
    this.#owner.end(offset);
  }

  #feed(bytes: Uint8Array, start: number, end: number, at: number): void {
    const transaction = this.#owner.open();
    if (transaction && !transaction.answered) {
      transaction.answered = true;
      transaction.responseAt = at;
      this.#owner.began(transaction);
    }
    this.#fed = { bytes, start, end, at };
    this.#framing.feed(bytes, start, end, this.#sink);
    this.#record(at + (end - start));
    this.#fed = undefined;
    this.#skip();
  }

  /** Records what has been fed, up to that offset, as the open transaction's. */
  #record(to: number): void {
    const fed = this.#fed;
    const transaction = this.#owner.open();
    if (!fed || !transaction) return;
    const length = to - fed.at;
    if (length <= 0) return;
    transaction.answered = true;
    transaction.record.append(fed.at - transaction.responseAt, fed.bytes, fed.start, fed.start + length);
    fed.start += length;
    fed.at += length;
  }

  /** Tells the kernel half what need not be told, once the beginning of the response is recorded. */
  #skip(): void {
    const { skippable } = this.#framing;
    if (skippable < SKIP_LEAST || !this.#owner.isFollowed()) return;
    if (!this.#owner.open()?.record.isFull) return;
    this.#skippedTo = this.#space.outgoing.end + Math.min(skippable, SKIP_STEP);
    this.#owner.note();
    this.#skipUntil(this.#skippedTo);
  }

  #skipUntil(offset: number): void {
    this.#tracks.skipUntil(this.#space.slot, this.#space.serverSequence(offset));
  }

  readonly #sink: ResponseSink = {
    method: () => this.#owner.method(),
    head: (head, at, bodyAt) => this.#owner.head(head, at, bodyAt),
    interim: (status, at, end) => this.#owner.interim(status, at, end),
    end: at => {
      // Of its own record, before the next one's turn.
      this.#record(at);
      this.#owner.end(at);
    },
    opaque: at => this.#owner.opaque(at),
    broken: (at, reason) => this.#owner.broken(at, reason),
  };
}
