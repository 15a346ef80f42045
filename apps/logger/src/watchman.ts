import { after } from '@resplice/dataplane';
import { type Backend, shiftOf } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Detector } from './detector/index.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

/** Between two looks, ms: how late a suspicion may be. */
export const LOOK_MS = 10;
/** A look that was so late has not seen what others had to wait for, ms. */
const LATE_MS = 20;

/** `performance.now` is of the same clock, counts from another moment, and needs no BigInt. */
const PERFORMANCE_ZERO_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** CLOCK_MONOTONIC, ms: the clock of the kernel half. */
export function monotonicMs(): number {
  return PERFORMANCE_ZERO_MS + performance.now();
}

/** What was seen of a connection at the last look. */
interface Sight {
  serverMs: number;
  serverNext: number;
  clientAck: number;
  clientMs: number;
}

/**
 * Looks after back ends that are silent in the middle of a transaction (P7.1, P10). What passes without a word to user space, bare
 * ACKs and the bodies that are skipped, it reads from the kernel half's table.
 */
export class Watchman {
  readonly #detector: Detector;
  readonly #tracks: Tracks;
  /** Also, until the next look, of those whose response has come: most have another request by then. */
  readonly #sights = new Map<Conversation, Sight>();
  #lastMs = monotonicMs();

  constructor(detector: Detector, tracks: Tracks) {
    this.#detector = detector;
    this.#tracks = tracks;
  }

  /**
   * A back end has been sent the whole request, and all responses before its own have been given.
   *
   * @param nowMs CLOCK_MONOTONIC
   */
  begin(conversation: Conversation, transaction: Transaction, backend: Backend, nowMs: number): void {
    const { watch: before, treatment, requestClass } = transaction;
    before?.abandon();
    transaction.watch = this.#detector.watch(backend.name, requestClass, treatment.timeouts, before);
    transaction.watch.requestSent(nowMs);
    this.#takeNote(conversation, transaction, nowMs);
    let sight = this.#sights.get(conversation);
    if (!sight) {
      sight = { serverMs: 0, serverNext: 0, clientAck: 0, clientMs: 0 };
      this.#sights.set(conversation, sight);
    }
    sight.serverMs = this.#tracks.serverMs(conversation.slot);
    sight.serverNext = this.#tracks.serverNext(conversation.slot);
    sight.clientAck = this.#tracks.clientAck(conversation.slot);
    sight.clientMs = this.#tracks.clientMs(conversation.slot);
  }

  /** Its response is complete. */
  end(transaction: Transaction): void {
    transaction.watch?.done();
    transaction.watch = undefined;
  }

  /** Nothing is expected any more. */
  forget(conversation: Conversation): void {
    for (const transaction of conversation.transactions) transaction.watch?.abandon();
    this.#sights.delete(conversation);
  }

  /**
   * @param isBehind whether events wait that have not been handed over: nobody is suspected then
   * @param suspect called for each connection whose server is silent for too long
   */
  look(isBehind: boolean, suspect: (conversation: Conversation, transaction: Transaction) => void): void {
    const now = monotonicMs();
    const late = now - this.#lastMs - LOOK_MS;
    this.#lastMs = now;
    for (const [conversation, sight] of this.#sights) {
      const { open } = conversation;
      const watch = open?.watch;
      if (!open || !watch) {
        this.#sights.delete(conversation);
        continue;
      }
      this.#see(conversation, open, sight);
      conversation.catchUp();
      if (!isBehind && open.watch === watch && watch.isSuspect(now)) suspect(conversation, open);
    }
    if (late > LATE_MS) this.#detector.delayed(late);
  }

  /** The back end may have acknowledged the request. */
  #takeNote(conversation: Conversation, { watch, requestEnd }: Transaction, nowMs: number): void {
    if (!watch || watch.isComplete || requestEnd === undefined) return;
    const acked = this.#tracks.serverAcked(conversation.slot);
    if (!after(conversation.clientSequence(requestEnd), acked)) watch.requestComplete(nowMs);
  }

  #see(conversation: Conversation, transaction: Transaction, sight: Sight): void {
    const { slot, offer } = conversation;
    const { watch, answered } = transaction;
    const tracks = this.#tracks;
    const serverMs = tracks.serverMs(slot);
    this.#takeNote(conversation, transaction, serverMs);
    const serverNext = tracks.serverNext(slot);
    if (serverNext !== sight.serverNext) {
      if (answered) watch?.serverBytes(serverMs);
      else watch?.firstByte(serverMs);
    } else if (serverMs !== sight.serverMs) watch?.serverRepeat(serverMs);
    sight.serverMs = serverMs;
    sight.serverNext = serverNext;
    const clientAck = tracks.clientAck(slot);
    const clientMs = tracks.clientMs(slot);
    if (clientAck === sight.clientAck && clientMs === sight.clientMs) return;
    sight.clientAck = clientAck;
    sight.clientMs = clientMs;
    watch?.clientAck(clientMs, (serverNext - clientAck) >>> 0, tracks.clientWindow(slot) << shiftOf(offer));
  }
}
