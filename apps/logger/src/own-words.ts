import { after } from '@resplice/dataplane';
import type { Log } from '@resplice/service-kit';
import type { Conversation } from './conversation.ts';
import { type Answer, refusal } from './refusal.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';
import { viewOf } from './view.ts';

export interface OwnWordsDeps {
  tracks: Tracks;
  speaker: Pick<Speaker, 'say' | 'reset'>;
  tally: LoggerTally;
  timeline: Timeline;
  log: Log;
}

/** What the logger says to clients of its own accord, when no back end can or may. */
export class OwnWords {
  readonly #deps: OwnWordsDeps;

  constructor(deps: OwnWordsDeps) {
    this.#deps = deps;
  }

  /** Closes in the server's place. */
  finish(conversation: Conversation): void {
    const { tracks, speaker } = this.#deps;
    const { slot, clientEnd } = conversation;
    speaker.say(conversation.id, {
      seq: tracks.serverNext(slot),
      ack: clientEnd === undefined ? tracks.told(slot) : conversation.clientSequence(clientEnd + 1),
      window: 512,
      mss: conversation.offer.mss,
      fin: true,
    });
    conversation.ended = true;
  }

  /**
   * Makes an answer of the transaction's; the connection stays open where it can.
   *
   * @returns what is still to be brought to the client, and the offset that it begins at
   */
  refuse(
    conversation: Conversation,
    transaction: Transaction,
    answer: Answer,
  ): { bytes: Uint8Array; from: number } {
    const { tracks, tally, timeline } = this.#deps;
    if (transaction.verdict && transaction.verdict !== 'pending' && transaction.verdict.kind === 'refused')
      tally.forbidden++;
    else tally.refused++;
    timeline.note(conversation, `refused with ${answer.status}`);
    const { requestEnd, method } = transaction;
    const from = conversation.outgoing.end;
    const bytes = refusal(answer, method, conversation.clientEnd !== undefined || requestEnd === undefined);
    // Nobody else will acknowledge the request, and the next one may come when it likes.
    const end = conversation.clientSequence(requestEnd ?? conversation.requests.end);
    if (after(end, tracks.told(conversation.slot))) tracks.setTold(conversation.slot, end);
    transaction.isRefused = true;
    conversation.speak(bytes);
    return { bytes, from };
  }

  reset(conversation: Conversation, why: string): void {
    const { tally, tracks, speaker, timeline, log } = this.#deps;
    const { slot, id } = conversation;
    tally.reset++;
    timeline.note(conversation, `reset: ${why}`);
    log.warn({ ...viewOf(conversation, true), why }, 'connection reset');
    speaker.reset(id, tracks.clientAck(slot));
    // Its receiver may have got further than its last ACK says.
    if (tracks.serverNext(slot) !== tracks.clientAck(slot)) speaker.reset(id, tracks.serverNext(slot));
  }
}
