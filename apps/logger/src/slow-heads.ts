import type { Wire } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ClientMode } from './layout.generated.ts';
import type { LoggerTally } from './tally.ts';

export interface SlowHeadsDeps {
  datapath: Pick<Datapath, 'tracks' | 'afterDrain'>;
  wire: Pick<Wire, 'reset'>;
  tally: Pick<LoggerTally, 'headsTimedOut'>;
  /** May change. */
  limits: { headTimeoutMs: number };
  /** Whether it is over, moves, or is about to leave its back end. */
  isBusy(conversation: Conversation): boolean;
  /** Takes the connection away from its back end, for its refusal. */
  move(conversation: Conversation, why: string): void;
}

/**
 * Later heads that never come to their end (a proxy collects the first one, and sees to it). Each has its time, from its first byte on,
 * or from the end of the response before it if that is later; then its client gets 408, and nobody gets the rest of it.
 */
export class SlowHeads {
  readonly #deps: SlowHeadsDeps;
  /** Of each head that has begun: which request's it is, and since when (performance.now()); oldest first. */
  readonly #begun = new Map<Conversation, { number: number; sinceMs: number }>();
  /** Their time is up, and what has passed before that is being told. */
  readonly #late = new Set<Conversation>();

  constructor(deps: SlowHeadsDeps) {
    this.#deps = deps;
  }

  /** Its client has sent something. */
  note(conversation: Conversation): void {
    if (conversation.unprotected !== undefined || !conversation.hasPartialHead) {
      if (this.#begun.size > 0) this.#begun.delete(conversation);
    } else if (this.#begun.get(conversation)?.number !== conversation.count) this.#begin(conversation);
  }

  /** To be called now and then. */
  look(): void {
    const before = performance.now() - this.#deps.limits.headTimeoutMs;
    for (const [conversation, { number, sinceMs }] of this.#begun) {
      if (sinceMs > before) return;
      this.#begun.delete(conversation);
      if (!isUnfinished(conversation) || conversation.count !== number) continue;
      conversation.commit();
      // Nobody would read it now.
      if (conversation.transactions.length > 0 || this.#deps.isBusy(conversation)) this.#begin(conversation);
      else this.#stop(conversation);
    }
  }

  /** It is over. */
  forget(conversation: Conversation): void {
    this.#begun.delete(conversation);
    this.#late.delete(conversation);
  }

  #begin(conversation: Conversation): void {
    this.#begun.delete(conversation);
    this.#begun.set(conversation, { number: conversation.count, sinceMs: performance.now() });
  }

  /** The rest may be on its way: from here on nothing passes by itself, and what has passed decides. */
  #stop(conversation: Conversation): void {
    const { datapath } = this.#deps;
    this.#late.add(conversation);
    datapath.tracks.setClientMode(conversation.slot, ClientMode.CLIENT_HELD);
    datapath.afterDrain(() => {
      if (!this.#late.delete(conversation) || this.#deps.isBusy(conversation)) return;
      if (isUnfinished(conversation) && conversation.transactions.length === 0) this.#refuse(conversation);
      else if (conversation.unprotected === undefined)
        datapath.tracks.setClientMode(conversation.slot, ClientMode.CLIENT_PASSES);
    });
  }

  #refuse(conversation: Conversation): void {
    const { datapath, wire, tally, move } = this.#deps;
    const { backend, slot, id } = conversation;
    // Exactly what its kernel expects next: it believes no other reset (RFC 5961 §3.2).
    const expected = datapath.tracks.serverAcked(slot);
    tally.headsTimedOut++;
    conversation.refuse('The request did not arrive in time.', 408);
    move(conversation, `refuses request ${conversation.count}: its head takes too long`);
    if (backend) wire.reset(backend, id, expected);
  }
}

/** Whether part of a head is there, and more of it may come. */
function isUnfinished({ unprotected, hasPartialHead, clientEnd, ended }: Conversation): boolean {
  return unprotected === undefined && hasPartialHead && clientEnd === undefined && !ended;
}
