import type { Conversation } from './conversation.ts';
import { ResponseCheck } from './http/response-check.ts';
import { type LogEvent, ServerMode } from './layout.generated.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

/** Pieces that wait for one before them. */
const MOST_EARLY = 64;

export interface ComparisonOptions {
  conversation: Conversation;
  tracks: Tracks;
  speaker: Pick<Speaker, 'say'>;
  timeline: Timeline;
  tally: LoggerTally;
  /** What the client may have heard, when the way was closed: T. */
  heard: number;
  /** Offset where the alternate's response begins. */
  responseAt: number;
  /** The response that is given again; undefined: nothing of it has been heard. */
  compared: Transaction | undefined;
  /** How far the alternate's response has got need not come again. */
  onGiven(given: number): void;
  /** The client may hear the rest; `lost`: it is to be brought this too, which it has not acknowledged. */
  onPassed(lost: { bytes: Uint8Array; from: number } | undefined): void;
  /** Byte `at` of the response is another one. */
  onDiffers(at: number): void;
  /** It is longer than what is recorded, and nothing says that it is the same. */
  onUnproven(): void;
}

/** The response that an alternate gives again: compared with what the client has heard, then passed (ARCHITECTURE §6). */
export class Comparison {
  readonly #options: ComparisonOptions;
  readonly #check: ResponseCheck | undefined;
  /** Offset behind the last byte that the alternate has given in order. */
  #given: number;
  /** Offset up to which its bytes must be those of the record. */
  readonly checkTo: number;
  #hasPassed = false;
  readonly #early = new Map<number, Uint8Array>();

  constructor(options: ComparisonOptions) {
    const { compared, responseAt, heard } = options;
    this.#options = options;
    this.#check = compared && new ResponseCheck(compared.record, [...compared.treatment.mask]);
    this.#given = responseAt;
    this.checkTo = Math.max(
      responseAt,
      compared ? Math.min(heard, responseAt + compared.record.length) : responseAt,
    );
  }

  /** Whether it is the same as far as it was heard. */
  get hasPassed(): boolean {
    return this.#hasPassed;
  }

  /** Whether the alternate has said all that the client may have heard. */
  get isThere(): boolean {
    const { conversation, tracks, heard } = this.#options;
    return heard <= this.checkTo || conversation.serverOffset(tracks.serverSeen(conversation.slot)) >= heard;
  }

  /** The back end is the one that the client has heard: nothing is compared. */
  waive(): void {
    this.#hasPassed = true;
  }

  /** Passes at once where there is nothing to compare. */
  begin(): void {
    const { heard, responseAt } = this.#options;
    if (this.checkTo === responseAt && heard === responseAt) this.#pass();
  }

  /**
   * Bytes of the alternate's that were kept from the client.
   *
   * @param bytes undefined: only where they would have been
   */
  give(at: number, bytes: Uint8Array | undefined, event: LogEvent): void {
    const { conversation, compared, heard } = this.#options;
    const behind = at + event.payload;
    if (at > this.#given && !this.#hasPassed) {
      if (bytes && this.#early.size < MOST_EARLY) this.#early.set(at, bytes.slice());
      return;
    }
    if (!this.#hasPassed) {
      if (behind <= this.#given) {
        this.#tellGiven();
        return;
      }
      if (compared && bytes && this.#given < this.checkTo) {
        const from = this.#given - at;
        const to = Math.min(bytes.length, this.checkTo - at);
        const differs = this.#check?.compare(this.#given - compared.responseAt, bytes, from, to) ?? -1;
        if (differs >= 0) {
          this.#options.onDiffers(differs);
          return;
        }
      }
      this.#given = Math.max(this.#given, Math.min(behind, this.checkTo));
      if (this.#given >= this.checkTo) {
        if (heard > this.checkTo && compared && !maySkip(compared)) {
          this.#options.onUnproven();
          return;
        }
        this.#pass();
      }
      this.#tellGiven();
    }
    // What the client has acknowledged is the logger's to acknowledge; what it has not yet is sent on.
    if (behind <= conversation.acknowledged) {
      this.#given = Math.max(this.#given, behind);
      this.#tellGiven();
    } else if (bytes && behind > this.checkTo)
      this.#sendOn(Math.max(at, this.checkTo), bytes.subarray(Math.max(0, this.checkTo - at)), event);
    const next = this.#early.get(this.#given);
    if (next) {
      this.#early.delete(this.#given);
      this.give(this.#given, next, {
        ...event,
        payload: next.length,
        sequence: conversation.serverSequence(this.#given),
      });
    }
  }

  #tellGiven(): void {
    this.#options.onGiven(this.#given);
  }

  /** Bytes that came before the way was open again. */
  #sendOn(at: number, bytes: Uint8Array, event: LogEvent): void {
    const { conversation, tracks, speaker, timeline } = this.#options;
    speaker.say(conversation.id, {
      seq: conversation.serverSequence(at),
      ack: tracks.told(conversation.slot),
      window: event.window,
      mss: conversation.offer.mss,
      payload: bytes,
    });
    const behind = at + bytes.length;
    timeline.serverBytes(conversation, behind, Number(event.timeNs) / 1e6);
    conversation.serverBytes(at, bytes, 0, bytes.length);
    if (behind > conversation.heard)
      tracks.setServerNext(conversation.slot, conversation.serverSequence(behind));
  }

  #pass(): void {
    const { conversation, tracks, timeline, tally, heard, compared } = this.#options;
    this.#hasPassed = true;
    timeline.awaitFirstByte(conversation, heard);
    // Of a long body nothing would be told: its first byte is to be.
    tracks.skipUntil(conversation.slot, conversation.serverSequence(heard));
    const skips = conversation.acknowledged > this.checkTo;
    tracks.setServerMode(
      conversation.slot,
      skips || heard > this.checkTo ? ServerMode.SERVER_SKIPPED : ServerMode.SERVER_PASSES,
    );
    timeline.note(conversation, 'passed');
    tally.passed++;
    const from = conversation.acknowledged;
    const isBehind = compared !== undefined && from < this.checkTo;
    this.#options.onPassed(
      isBehind
        ? {
            bytes: compared.record.bytes(from - compared.responseAt, this.checkTo - compared.responseAt),
            from,
          }
        : undefined,
    );
  }
}

function maySkip({ hasValidator, treatment, isStored }: Transaction): boolean {
  return hasValidator || treatment.deterministic === 'yes' || isStored;
}
