import type { Conversation } from './conversation.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Tracks } from './tracks.ts';

/**
 * After a proxy's death, ms: soon enough to help, and again, since balancers may find out a little later, and the acknowledgement would
 * be lost like the answer.
 */
const AGAIN_MS = [10, 60, 150];

export interface GapDeps {
  tracks: Tracks;
  speaker: Pick<Speaker, 'say'>;
  tally: Pick<LoggerTally, 'saidAgain'>;
  /** Those that are followed, and do not move. */
  conversations(): Iterable<Conversation>;
}

/**
 * What was on its way to clients through a proxy when it died is lost. Their servers send it again, but one that has no round-trip
 * sample yet (ARCHITECTURE §2.3) takes a second. Of the first bytes that the client has not acknowledged one segment is enough: its
 * acknowledgement sets the server going. The logger has them, if they are among those that it keeps of each response.
 */
export class Gap {
  readonly #deps: GapDeps;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(deps: GapDeps) {
    this.#deps = deps;
  }

  /** A proxy has died. */
  open(): void {
    const waiting = new Map<Conversation, number>();
    for (const conversation of this.#deps.conversations())
      if (conversation.transactions.length > 0 && conversation.acknowledged < conversation.heard)
        waiting.set(conversation, conversation.acknowledged);
    for (const ms of AGAIN_MS) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#repeat(waiting);
      }, ms);
      this.#timers.add(timer);
    }
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #repeat(waiting: Map<Conversation, number>): void {
    if (waiting.size === 0) return;
    const present = new Set(this.#deps.conversations());
    for (const [conversation, acknowledged] of waiting)
      if (!present.has(conversation) || conversation.acknowledged !== acknowledged)
        waiting.delete(conversation);
      else this.#say(conversation, acknowledged);
  }

  #say(conversation: Conversation, acknowledged: number): void {
    if (conversation.unprotected !== undefined || conversation.ended) return;
    conversation.commit();
    const { tracks, speaker, tally } = this.#deps;
    const { transactions, id, slot, offer, heard } = conversation;
    const [oldest] = transactions;
    if (!oldest) return;
    const { record, responseAt } = oldest;
    const from = acknowledged - responseAt;
    const to = Math.min(record.length, heard - responseAt, from + offer.mss);
    if (from < 0 || from >= to) return;
    tally.saidAgain++;
    speaker.say(id, {
      seq: conversation.serverSequence(acknowledged),
      ack: tracks.told(slot),
      window: 512,
      mss: offer.mss,
      payload: record.bytes(from, to),
    });
  }
}
