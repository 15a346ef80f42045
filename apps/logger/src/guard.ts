import { encodeSack } from '@resplice/dataplane';
import type { Backend, Wire } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { RequestHead } from './http/request-head.ts';
import type { LogEvent } from './layout.generated.ts';
import { Replayer } from './replayer.ts';
import type { Verdict } from './rules.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

/** A head that is incomplete for so long, ms, is acknowledged: its client may send no more before that (ARCHITECTURE §2.2). */
const PATIENCE_MS = 20;
/** Bytes that a back end has not acknowledged, at most: twice the largest window that is announced (65,535 << 7). */
const MOST_AHEAD = 16 << 20;

export interface GuardDeps {
  tracks: Tracks;
  wire: Pick<Wire, 'deliver' | 'reset'>;
  speaker: Pick<Speaker, 'say'>;
  tally: LoggerTally;
  /** By the listener's rules as they are now. */
  judge(conversation: Conversation, head: RequestHead): Verdict | Promise<Verdict>;
  /** Whether it is over, moves already, or is about to leave its back end. */
  isBusy(conversation: Conversation): boolean;
  /** Gives the connection to whom its next request needs. */
  move(conversation: Conversation, why: string): void;
  /** There is no honest way on. */
  abandon(conversation: Conversation, why: string): void;
  /** What waited for a judgement can go on. */
  judged(conversation: Conversation): void;
  /** The back end has been given the whole request whose response is due. */
  delivered(conversation: Conversation): void;
  /** Something is open: {@link Guard.look} is to be called again soon. */
  attend(conversation: Conversation): void;
}

/**
 * The logger as enforcement point of one connection, whose listener has rules for each request (P2.2, ARCHITECTURE §2.5). The kernel
 * half lets nothing of the client's through; this sends on what was logged, parsed and allowed, and only that. So nothing slips past
 * because it came second, in the same segment, or once more with other content: the first logged copy of a byte is the one that counts.
 */
export class Guard {
  /** Nothing of the client's has come yet, so it is not known who holds it. */
  isFresh = true;
  readonly #conversation: Conversation;
  readonly #deps: GuardDeps;
  #replayer: Replayer | undefined;
  #backend: Backend | undefined;
  /** How far a head that is incomplete has got, and since when (performance.now()). */
  #partial: { end: number; sinceMs: number } | undefined;

  constructor(conversation: Conversation, deps: GuardDeps) {
    this.#conversation = conversation;
    this.#deps = deps;
  }

  /** A request's head has come. */
  judge(transaction: Transaction, head: RequestHead): void {
    const verdict = this.#deps.judge(this.#conversation, head);
    if (!(verdict instanceof Promise)) {
      transaction.verdict = verdict;
      return;
    }
    transaction.verdict = 'pending';
    void verdict.then(late => {
      transaction.verdict = late;
      this.#deps.judged(this.#conversation);
    });
  }

  /** Whether bytes contradict what is logged: somebody wants another request to run than the one that was read. */
  contradicts(at: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { requests, incoming } = this.#conversation;
    const from = Math.max(at, requests.base);
    const to = Math.min(at + end - start, incoming.end, requests.end);
    if (from >= to) return false;
    const again = bytes.subarray(start + from - at, start + to - at);
    return Buffer.compare(requests.read(from, to), again) !== 0;
  }

  /** Whether the client sends more than any server can have granted it: nobody would hold that. */
  get isFlooded(): boolean {
    const { backend, delivered, requests } = this.#conversation;
    return backend !== undefined && requests.end - delivered > MOST_AHEAD;
  }

  /** Offset behind what that back end may be given. */
  limit(backend: Backend): number {
    const { transactions, readTo, clientEnd, hasPartialHead } = this.#conversation;
    for (const transaction of transactions) {
      if (!mayHave(transaction, backend)) return transaction.requestAt;
      // What follows is no request if the server agrees, and one if it does not.
      if (transaction.asksForUpgrade) return transaction.requestEnd ?? Number.POSITIVE_INFINITY;
    }
    if (clientEnd !== undefined && !hasPartialHead) return Number.POSITIVE_INFINITY;
    const last = transactions.at(-1);
    return last ? (last.requestEnd ?? Number.POSITIVE_INFINITY) : readTo;
  }

  /** Something has come, or may have been acknowledged: does what can be done now. */
  look(): void {
    const conversation = this.#conversation;
    if (this.#deps.isBusy(conversation) || conversation.unprotected !== undefined) return;
    conversation.commit();
    const { backend, clientEnd, hasPartialHead } = conversation;
    if (clientEnd !== undefined && hasPartialHead) conversation.refuse('request head incomplete');
    const [first] = conversation.transactions;
    if (!backend) {
      if (first || clientEnd !== undefined) this.#deps.move(conversation, 'wakes up');
      else this.#acknowledgePartial();
      return;
    }
    if (first && !first.delivered && this.#mustLeave(first, backend)) return;
    this.#send(backend);
    this.#acknowledgePartial();
    const last = conversation.transactions.at(-1);
    if (last?.verdict !== undefined && !last.delivered) this.#deps.attend(conversation);
  }

  /** Its back end has said something. */
  heard(event: LogEvent): void {
    if (this.#backend === this.#conversation.backend) this.#replayer?.heard(event);
    this.look();
  }

  /** Bytes that the server has acknowledged have come once more: its word was lost on the way. */
  repeat(): void {
    this.#acknowledge(this.#conversation.told);
  }

  /**
   * Bytes have come behind a gap. The server does not see them, so it does not say so, and without a word the client would send what is
   * missing only when its timer has run out: it is acknowledged what is logged, with what there is behind it (RFC 2018).
   *
   * @param at offset of these bytes
   */
  gap(at: number): void {
    const conversation = this.#conversation;
    const { incoming, told, slot, offer } = conversation;
    const sequence = (offset: number) => conversation.clientSequence(offset);
    if (incoming.end > told) this.#deps.tracks.setTold(slot, sequence(incoming.end));
    const runs = offer.sackPermitted ? incoming.runs(at) : [];
    this.#acknowledge(
      Math.max(told, incoming.end),
      encodeSack(runs.map(([from, to]) => [sequence(from), sequence(to)])),
    );
  }

  /** Somebody else delivers now, or nobody. */
  rest(): void {
    this.isFresh = false;
    this.#replayer?.close();
    this.#replayer = undefined;
    this.#backend = undefined;
  }

  /** Whether it has left: its next request is not that back end's, or nobody's. */
  #mustLeave({ verdict, number }: Transaction, backend: Backend): boolean {
    if (verdict === undefined || verdict === 'pending') return false;
    if (verdict.kind === 'allowed' && verdict.members.has(backend)) return false;
    const conversation = this.#conversation;
    const { tracks, wire, move } = this.#deps;
    // Exactly what its kernel expects next: it believes no other reset (RFC 5961 §3.2).
    const expected = tracks.serverAcked(conversation.slot);
    move(conversation, verdict.kind === 'refused' ? `refuses request ${number}` : `leaves ${backend.name}`);
    wire.reset(backend, conversation.id, expected);
    return true;
  }

  #send(backend: Backend): void {
    const conversation = this.#conversation;
    const { tracks, wire, delivered, abandon } = this.#deps;
    if (conversation.requests.base > conversation.delivered) {
      abandon(conversation, 'nobody has what its back end still needs');
      return;
    }
    if (this.#backend !== backend || !this.#replayer) {
      this.rest();
      this.#backend = backend;
      this.#replayer = new Replayer({
        ...{ conversation, wire, tracks, backend },
        delta: tracks.delta(conversation.slot),
        from: conversation.delivered,
        isOnly: true,
      });
    }
    this.#replayer.limit = this.limit(backend);
    this.#replayer.go();
    const { open } = conversation;
    if (open?.delivered && open.requestEnd !== undefined && !open.watch) delivered(conversation);
  }

  #acknowledgePartial(): void {
    const conversation = this.#conversation;
    const { end } = conversation.incoming;
    if (!conversation.hasPartialHead || end <= conversation.told) {
      this.#partial = undefined;
      return;
    }
    const now = performance.now();
    if (this.#partial?.end !== end) this.#partial = { end, sinceMs: now };
    if (now - this.#partial.sinceMs < PATIENCE_MS) {
      this.#deps.attend(conversation);
      return;
    }
    this.#deps.tracks.setTold(conversation.slot, conversation.clientSequence(end));
    this.#acknowledge(end);
  }

  #acknowledge(to: number, options?: Uint8Array): void {
    const { id, slot, offer } = this.#conversation;
    this.#deps.speaker.say(id, {
      seq: this.#deps.tracks.serverNext(slot),
      ack: this.#conversation.clientSequence(to),
      window: 512,
      mss: offer.mss,
      ...(options?.length && { options }),
    });
  }
}

function mayHave({ delivered, verdict }: Transaction, backend: Backend): boolean {
  // Without a verdict it passed before its listener had such rules.
  if (delivered || verdict === undefined) return true;
  return verdict !== 'pending' && verdict.kind === 'allowed' && verdict.members.has(backend);
}
