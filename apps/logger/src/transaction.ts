import { MOST_START } from '@resplice/dataplane';
import type { RecoverAnswer } from '@resplice/kit-channel';
import type { Treatment } from '@resplice/site-config';
import type { Watch } from './detector/index.ts';
import type { RecordPool } from './http/record-pool.ts';
import { ResponseRecord } from './http/response-record.ts';
import type { Verdict } from './rules.ts';

/** A request and its response (P6.3). Offsets are those of the conversation. */
export class Transaction {
  /** Counts from 1 within the connection. */
  readonly number: number;
  readonly method: string;
  readonly requestAt: number;
  /** Undefined: not complete yet. */
  requestEnd: number | undefined;
  /**
   * How many requests of the connection back ends had been given before it; its number there. `UNKNOWN_START`: nobody knows. Undefined: no
   * back end has been given it.
   */
  given: number | undefined;
  /** A back end may have the whole request, and so may have run it. */
  delivered = false;
  /** Where its response begins; meaningful once all before it is complete. */
  responseAt = 0;
  /** Behind its interim responses (100, 103), of which there may be none: where its final one begins. */
  finalAt: number | undefined;
  /** Undefined: not complete yet. */
  responseEnd: number | undefined;
  /** Behind the response's head; undefined until then. */
  bodyAt: number | undefined;
  status: number | undefined;
  /** Behind its response, as its head says; undefined: only its end tells. */
  expectedEnd: number | undefined;
  /** Its request is not kept: nobody can give it to another back end. */
  isLost = false;
  /** A byte of the response has been forwarded. */
  answered = false;
  /** The server closes behind it. */
  closes = false;
  /** Only the end of the stream ends it. */
  untilClose = false;
  /** Its head tells one version of its content from another, by a field that may not differ. */
  hasValidator = false;
  /** Its response is the logger's own, in the server's place. */
  isRefused = false;
  /** Tells how long its server may be silent; undefined while nothing is expected of it. */
  watch: Watch | undefined;
  /** Of requests that take about as long (P10.2). */
  requestClass = '';
  /** Whom it may be given to; undefined: to anybody, `pending`: it is not known yet. */
  verdict: Verdict | 'pending' | undefined;
  /** Its client asks for another protocol: what it sends before the answer waits. */
  asksForUpgrade = false;
  /** How often a back end's kit was told that it is to go on with it. */
  attempts = 0;
  /** What the kit of the back end that is to have it now has said of it (P12.3); undefined: nothing. */
  recovered: Pick<RecoverAnswer, 'stored' | 'runs'> | undefined;
  /** What may be done with it when its back end fails (P6.5). */
  readonly treatment: Treatment;
  readonly record: ResponseRecord;

  constructor(number: number, method: string, requestAt: number, treatment: Treatment, records: RecordPool) {
    this.treatment = treatment;
    this.record = new ResponseRecord(records);
    this.number = number;
    this.method = method;
    this.requestAt = requestAt;
  }

  /**
   * Whether a client that has heard that far can still be given another final response.
   *
   * @param heard offset behind the last byte
   */
  isUnanswered(heard: number): boolean {
    return heard === (this.finalAt ?? this.responseAt);
  }

  /** Whether a back end has been given it, and its number can be told to the next one. */
  get isNumbered(): boolean {
    return this.given !== undefined && this.given <= MOST_START;
  }

  /** Whether its application has left at its alternate what another back end needs to go on with it (P9.2). */
  get isJournaled(): boolean {
    return this.treatment.journal !== 'none' && !this.isLost && this.isNumbered;
  }

  /** Whether the back end that was asked has what gives exactly this response again. */
  get isStored(): boolean {
    return this.isJournaled && this.recovered !== undefined && this.recovered.stored !== 'none';
  }

  /**
   * Whether the back end that was asked may be given it: it needs no journal, or there is one, or it has none and runs it, by the same
   * ID, for a client that has heard nothing.
   *
   * @param isUnanswered whether the client can still be given another response
   */
  isFit(isUnanswered: boolean): boolean {
    if (this.isStored) return true;
    if (this.isRepeatable) return isUnanswered || this.treatment.deterministic !== 'no';
    return isUnanswered && this.isJournaled && this.recovered?.runs === true;
  }

  /** Whether another back end may run it although this one may have. */
  get isRepeatable(): boolean {
    return !this.isLost && (!this.delivered || this.treatment.kind === 'read' || this.treatment.idempotent);
  }
}
