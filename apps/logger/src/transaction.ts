import type { ResponseRecord } from './http/response-record.ts';

/** What the application says about a request (P6.5). */
export interface Tags {
  kind: 'read' | 'update';
  /** Whether an alternate back end would give exactly the same response; undefined: the comparison decides. */
  deterministic: boolean | undefined;
  /** Whether it may be processed more than once. */
  idempotent: boolean;
}

/** A request and its response (P6.3). Offsets are those of the conversation. */
export class Transaction {
  /** Counts from 1 within the connection. */
  readonly number: number;
  readonly method: string;
  readonly requestAt: number;
  /** Undefined: not complete yet. */
  requestEnd: number | undefined;
  /** A back end may have the whole request, and so may have run it. */
  delivered = false;
  /** Where its response begins; meaningful once all before it is complete. */
  responseAt = 0;
  /** Undefined: not complete yet. */
  responseEnd: number | undefined;
  /** Behind the response's head; undefined until then. */
  bodyAt: number | undefined;
  status: number | undefined;
  /** A byte of the response has been forwarded. */
  answered = false;
  /** The server closes behind it. */
  closes = false;
  /** Only the end of the stream ends it. */
  untilClose = false;
  hasValidator = false;
  tags: Tags = { kind: 'read', deterministic: undefined, idempotent: true };
  readonly record: ResponseRecord;

  constructor(number: number, method: string, requestAt: number, record: ResponseRecord) {
    this.number = number;
    this.method = method;
    this.requestAt = requestAt;
    this.record = record;
  }

  /** Whether another back end may run it although this one may have. */
  get isRepeatable(): boolean {
    return !this.delivered || this.tags.kind === 'read' || this.tags.idempotent;
  }
}
