import { after, UNKNOWN_START } from '@resplice/dataplane';
import type { Treatment } from '@resplice/site-config';
import type { Backend } from '@resplice/splice';
import { ClientSpace, type Identity } from './client-space.ts';
import type { Guard } from './guard.ts';
import type { RecordPool } from './http/record-pool.ts';
import { RequestFraming, type RequestSink } from './http/request-framing.ts';
import type { RequestHead } from './http/request-head.ts';
import type { ResponseHead } from './http/response-head.ts';
import { RequestLog } from './request-log.ts';
import type { RequestStore } from './request-store.ts';
import { ResponseReader } from './response-reader.ts';
import { NOT_KEPT, type Resumption } from './resumption.ts';
import type { Tracks } from './tracks.ts';
import { Transaction } from './transaction.ts';

/** An end that is further away is not one that a sequence number can tell. */
const TELLABLE = 1 << 30;

/** Why a connection is not protected that has become another protocol's. */
export const UPGRADED = 'upgraded';
/** Why one is lost with its back end whose listener says so: `protect: false`. */
export const UNPROTECTED = 'its listener is not protected';

/** What a conversation tells the one who watches over it. */
export interface ConversationEvents {
  /** A request's head is there: what may be done with it? */
  treatmentOf(conversation: Conversation, head: RequestHead): Treatment;
  requestBegan(conversation: Conversation, transaction: Transaction, head: RequestHead): void;
  requestEnded(conversation: Conversation, transaction: Transaction): void;
  responseBegan(conversation: Conversation, transaction: Transaction): void;
  responseEnded(conversation: Conversation, transaction: Transaction): void;
  /** Of a transaction with a journal: its client has all of its back end's response (P11.5). */
  committed(conversation: Conversation, transaction: Transaction): void;
  /** Of a transaction with a journal: nobody can bring its back end's response to its client any more. It may be running still. */
  abandoned(conversation: Conversation, transaction: Transaction): void;
  /** There is no room for its unfinished requests: nobody can give them to another back end. */
  requestsLost(conversation: Conversation): void;
}

/** A client's connection as a sequence of transactions (P6.3). */
export class Conversation extends ClientSpace implements RequestSink {
  readonly openedMs = Date.now();
  /** Unfinished ones, oldest first: a transaction is finished when the client has acknowledged all of its response. */
  readonly transactions: Transaction[] = [];
  readonly requests: RequestLog;
  /** Who holds it; undefined: nobody, its next request finds somebody. */
  backend: Backend | undefined;
  failovers = 0;
  /** Requests so far. */
  count = 0;
  /** Requests that back ends have been given; those that were refused before do not count. `UNKNOWN_START`: nobody knows. */
  given = 0;
  /** Where the client's last FIN was; others may send one in its name. */
  finAt: number | undefined;
  /** Offset behind the client's last byte, if it has sent its FIN and all before it. */
  clientEnd: number | undefined;
  /** The server's last response was its last. */
  closes = false;
  /** The server's FIN has been passed on. */
  ended = false;
  /** Back ends that have failed one after the other at the same byte of the same transaction. */
  #failures = 0;
  #failedAt = '';
  /** Where it was given back to the back end that was suspected. */
  #givenBackAt = '';
  /** Judges each of its requests; undefined: whatever its client sends passes. */
  guard: Guard | undefined;
  /** Why this connection is not protected; undefined: it is. */
  unprotected: string | undefined;
  /** Its listener is not protected: it is followed until its back end is known. */
  isExpendable = false;
  readonly #records: RecordPool;
  readonly #events: ConversationEvents;
  readonly #requestFraming = new RequestFraming();
  readonly #responses: ResponseReader;
  #requestsEnd = 0;
  /** Offset where the next response begins. */
  #responseAt = 0;
  #isForwarded = false;

  constructor(
    identity: Identity,
    tracks: Tracks,
    records: RecordPool,
    events: ConversationEvents,
    store: RequestStore,
  ) {
    super(identity, tracks);
    this.requests = new RequestLog(
      store,
      () => this.#requestsLost(),
      () => this.#neededFrom,
    );
    this.#records = records;
    this.#events = events;
    this.#responses = new ResponseReader(this, tracks, {
      open: () => this.open,
      isFollowed: () => this.unprotected === undefined,
      began: transaction => events.responseBegan(this, transaction),
      note: () => this.#note(),
      method: () => this.open?.method,
      head: (head, _at, bodyAt) => this.#responseHead(head, bodyAt),
      interim: (status, _at, end) => this.#interim(status, end),
      end: at => this.#responseEnd(at),
      opaque: at => this.opaque(at),
      broken: (_at, reason) => this.giveUp(reason),
    });
  }

  /**
   * Goes on where a former daemon was.
   *
   * @param treatment for what is unfinished: its request is not kept
   */
  resume(from: Resumption, treatment: Treatment): void {
    const [requestEnd, responseAt] = [this.clientOffset(from.requestEnd), this.serverOffset(from.responseAt)];
    this.incoming.jump(requestEnd);
    this.requests.startAt(requestEnd);
    this.#requestsEnd = requestEnd;
    this.#requestFraming.reset(requestEnd);
    this.#responseAt = responseAt;
    this.#responses.startAt(responseAt);
    this.given = from.number;
    if (from.kind === 'idle') return;
    const transaction = new Transaction(
      ...([++this.count, from.method, this.clientOffset(from.requestAt), treatment, this.#records] as const),
    );
    Object.assign(transaction, { requestEnd, responseAt, delivered: true, isLost: true });
    this.give(transaction);
    this.transactions.push(transaction);
    if (from.kind === 'waiting') return;
    transaction.answered = true;
    transaction.expectedEnd = this.serverOffset(from.responseEnd);
    this.#responses.passUnread(this.serverOffset(from.serverKnown), transaction.expectedEnd);
  }

  /** Nobody can go on with it: what passes from here on is not followed. */
  passBy(clientLogged: number, serverNext: number, reason: string): void {
    this.incoming.jump(this.clientOffset(clientLogged));
    this.outgoing.jump(this.serverOffset(serverNext));
    this.giveUp(reason);
  }

  /** Leaves word of what is unfinished, for a daemon that starts over. */
  #note(): void {
    const { open } = this;
    const last = this.transactions.at(-1);
    if (!last) return;
    const requestAt = open ? open.requestAt : (last.requestEnd ?? last.requestAt);
    const requestEnd = open?.method === 'CONNECT' ? undefined : open?.requestEnd;
    const responseAt = open ? open.responseAt : this.#responseAt;
    const { expectedEnd = responseAt } = open ?? {};
    const responseEnd = expectedEnd - this.outgoing.end < TELLABLE ? expectedEnd : responseAt;
    this.tracks.setUnfinished(this.slot, {
      requestAt: this.clientSequence(requestAt),
      requestEnd: this.clientSequence(requestEnd ?? requestAt),
      responseAt: this.serverSequence(responseAt),
      responseEnd: this.serverSequence(responseEnd),
      isHead: open?.method === 'HEAD',
      isRepeatable: open !== undefined && (open.treatment.kind === 'read' || open.treatment.idempotent),
      number: open?.given ?? this.given,
    });
  }

  /** Where the next response begins, when there is no unfinished one. */
  get responseAt(): number {
    return this.#responseAt;
  }

  /** Where the first request begins that has not been read completely. */
  get pendingRequestAt(): number {
    return this.transactions.length > 0 ? this.transactions[0]!.requestAt : this.readTo;
  }

  /** Behind the last request that was read completely. */
  get readTo(): number {
    return Math.max(this.requests.base, this.#requestsEnd);
  }

  /** Whether the client has sent part of a head. */
  get hasPendingBytes(): boolean {
    const { requestEnd } = this.transactions.at(-1) ?? { requestEnd: this.readTo };
    return requestEnd !== undefined && this.requests.end > requestEnd;
  }

  /** Whether part of a head has come, and not all of it; empty lines are none. */
  get hasPartialHead(): boolean {
    const { idle, lost } = this.#requestFraming;
    const last = this.transactions.at(-1);
    return !idle && !lost && (!last || last.requestEnd !== undefined);
  }

  /** From here on that back end holds it; undefined: it is not one of ours. */
  bindTo(backend: Backend | undefined): void {
    if (this.backend) this.backend.active--;
    this.backend = backend;
    if (backend) backend.active++;
  }

  /** A back end is given it: from now on it has a number. */
  give(transaction: Transaction): void {
    if (transaction.given !== undefined) return;
    transaction.given = this.given;
    if (this.given < UNKNOWN_START) this.given++;
  }

  get open(): Transaction | undefined {
    return this.transactions.find(each => each.responseEnd === undefined);
  }

  /** The back end that had the unfinished request has ended the connection. */
  failed(): void {
    this.#failures = this.failures + 1;
    this.#failedAt = this.#place;
  }

  /** How many have done so in a row, without a byte more for the client: the request itself may be what kills them. */
  get failures(): number {
    return this.#place === this.#failedAt ? this.#failures : 0;
  }

  /** The back end that was suspected goes on with it. */
  gaveBack(): void {
    this.#givenBackAt = this.#place;
  }

  /** Whether it has had that chance, and not a byte more has come. */
  get wasGivenBack(): boolean {
    return this.#place === this.#givenBackAt;
  }

  get #place(): string {
    return `${this.open?.number} ${this.heard}`;
  }

  // The client's bytes

  /** @param isForwarded whether a back end gets them by itself */
  clientBytes(at: number, bytes: Uint8Array, start: number, end: number, isForwarded: boolean): void {
    this.#isForwarded = isForwarded;
    this.incoming.offer(at, bytes, start, end, this.#takeRequestBytes);
    // A piece that filled a gap, or one behind what another build's programs have logged: the kernel half does not know that the log
    // goes on behind it.
    const logged = this.clientSequence(this.incoming.end);
    if (after(logged, this.tracks.clientLogged(this.slot))) this.tracks.setClientLogged(this.slot, logged);
  }

  /** Whether what is being read has been forwarded already. */
  get isForwarded(): boolean {
    return this.#isForwarded;
  }

  readonly #takeRequestBytes = (bytes: Uint8Array, start: number, end: number): void => {
    if (this.unprotected !== undefined) return;
    this.commit();
    this.requests.append(bytes, start, end);
    this.#requestFraming.feed(bytes, start, end, this);
  };

  /** Offset from which nobody but the log has the client's bytes; a server may answer before it has all of a request. */
  get #neededFrom(): number {
    return this.guard && this.backend ? this.delivered : Number.POSITIVE_INFINITY;
  }

  #requestsLost(): void {
    for (const transaction of this.transactions) transaction.isLost = true;
    this.#events.requestsLost(this);
  }

  /** Forgets transactions whose responses the client has acknowledged (P11.5). */
  commit(): void {
    this.catchUp();
    this.#commitKnown();
  }

  /** Of what has been read of the responses. */
  #commitKnown(): void {
    const { transactions } = this;
    if (transactions.length === 0) return;
    const acknowledged = this.acknowledged;
    while (transactions.length > 0) {
      const { responseEnd, requestEnd } = transactions[0]!;
      if (responseEnd === undefined || requestEnd === undefined || responseEnd > acknowledged) break;
      this.#finish(transactions.shift()!, true);
      const next = transactions[0]?.requestAt ?? requestEnd;
      this.requests.dropBefore(Math.min(next, this.#neededFrom));
    }
  }

  #finish(transaction: Transaction, isAcknowledged: boolean): void {
    transaction.record.release();
    if (transaction.treatment.journal === 'none') return;
    // Of our own refusal the client's word says nothing of what the back end does.
    if (isAcknowledged && !transaction.isRefused) this.#events.committed(this, transaction);
    else this.#events.abandoned(this, transaction);
  }

  head(head: RequestHead, at: number): void {
    const transaction = new Transaction(
      ++this.count,
      head.method,
      at,
      this.#events.treatmentOf(this, head),
      this.#records,
    );
    if (!this.open) transaction.responseAt = this.#responseAt;
    // Its first bytes may have gone with those of a request before it.
    transaction.isLost = at < this.requests.base;
    if (!transaction.isLost && !this.requests.isKeeping) this.requests.keepFrom(at);
    transaction.asksForUpgrade = head.upgrade;
    if (this.#isForwarded) this.give(transaction);
    this.transactions.push(transaction);
    this.#note();
    this.#events.requestBegan(this, transaction, head);
  }

  // The server's bytes

  /** Of what has been forwarded. */
  serverBytes(at: number, bytes: Uint8Array, start: number, end: number): void {
    this.#responses.read(at, bytes, start, end);
  }

  /** Moves on over what the kernel half was told to skip. */
  catchUp(): void {
    this.#responses.catchUp();
  }

  #responseHead(head: ResponseHead, bodyAt: number): void {
    const transaction = this.open;
    if (!transaction) return;
    transaction.status = head.status;
    transaction.bodyAt = bodyAt;
    transaction.closes = head.close;
    transaction.untilClose = head.body === 'until-close';
    transaction.hasValidator = head.hasValidatorBut(transaction.treatment.mask);
    if (head.body === 'length') transaction.expectedEnd = bodyAt + head.length;
    this.#note();
    if (head.status === 101 || (transaction.method === 'CONNECT' && head.status < 300))
      this.#requestFraming.becomeOpaque(this);
  }

  #interim(status: number, end: number): void {
    if (status === 101) this.#requestFraming.becomeOpaque(this);
    else if (this.open) this.open.finalAt = end;
  }

  /** End of a request. */
  end(at: number): void {
    const transaction = this.transactions.at(-1);
    if (!transaction || transaction.requestEnd !== undefined) return;
    transaction.requestEnd = this.#requestsEnd = at;
    transaction.delivered = this.#isForwarded;
    if (transaction.isLost && !this.requests.isKeeping) this.requests.keepFrom(at);
    this.#note();
    this.#events.requestEnded(this, transaction);
  }

  #responseEnd(at: number): void {
    const transaction = this.open;
    if (!transaction) return;
    transaction.responseEnd = at;
    this.#responseAt = at;
    transaction.record.end(at - transaction.responseAt);
    if (transaction.closes) this.closes = true;
    const next = this.open;
    if (next) next.responseAt = at;
    this.#note();
    this.#events.responseEnded(this, transaction);
  }

  opaque(_at: number): void {
    this.giveUp(UPGRADED);
  }

  broken(at: number, reason: string): void {
    const last = this.transactions.at(-1);
    if (this.guard && !(last && last.requestEnd === undefined))
      this.refuse(reason, reason.startsWith('more than') ? 431 : 400, at);
    else this.giveUp(reason);
  }

  /** What follows the last request is none, and is not given to anybody. */
  refuse(
    reason: string,
    status: 400 | 408 | 431 = 400,
    at = this.transactions.at(-1)?.requestEnd ?? this.readTo,
  ): void {
    const transaction = new Transaction(++this.count, 'GET', at, NOT_KEPT, this.#records);
    transaction.verdict = { kind: 'refused', status, reason };
    if (!this.open) transaction.responseAt = this.#responseAt;
    this.transactions.push(transaction);
    this.#note();
  }

  /** From here on the connection passes, and is lost with its back end. */
  giveUp(reason: string): void {
    if (this.unprotected !== undefined) return;
    this.unprotected = reason;
    for (const transaction of this.transactions) transaction.record.release();
    this.transactions.length = 0;
    this.requests.close();
    this.#responses.skipAll();
  }

  /** It is over, and what is kept of it is forgotten. */
  close(): void {
    // Nothing more is read: nobody is to begin to wait for anything.
    this.#commitKnown();
    for (const transaction of this.transactions) this.#finish(transaction, false);
    this.transactions.length = 0;
    this.requests.close();
  }

  // What recovery says itself

  /** A response that the logger gives in the server's place is recorded like any other. */
  speak(bytes: Uint8Array): void {
    this.#responses.speak(bytes);
    this.tracks.setServerNext(this.slot, this.serverSequence(this.outgoing.end));
  }
}
