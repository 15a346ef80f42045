import { type FramingSink, MessageFraming, type Sequel } from './message-framing.ts';
import { ResponseHead } from './response-head.ts';

export interface ResponseSink extends FramingSink {
  /** The method of the request that the next response answers; undefined if there is none, and so can be no response. */
  method(): string | undefined;
  /**
   * @param head only valid during the call
   * @param at offset of the head's first byte; interim responses before it are not part of it
   * @param bodyAt offset behind the head's empty line
   */
  head(head: ResponseHead, at: number, bodyAt: number): void;
  /**
   * Something before the response: 100, 103. Or instead of it: 101, after which `opaque` is told.
   *
   * @param status 100 to 199
   * @param at offset of its first byte
   * @param end offset behind its empty line
   */
  interim(status: number, at: number, end: number): void;
}

const head = new ResponseHead();

/** Finds the responses in a server's stream (P6.3). Bytes that no request has asked for break it. */
export class ResponseFraming extends MessageFraming<ResponseSink> {
  /** @internal */
  protected get head(): ResponseHead {
    return head;
  }

  /** @internal Whoever sends one has lost count of its own bytes. */
  protected get maxBlankLines(): number {
    return 0;
  }

  protected refusal(sink: ResponseSink): string | undefined {
    return sink.method() === undefined ? 'bytes that no request has asked for' : undefined;
  }

  protected announce(sink: ResponseSink, at: number, bodyAt: number): Sequel {
    const method = sink.method() ?? 'GET';
    const { status } = head;
    head.settle(method);
    if (status < 200) {
      sink.interim(status, at, bodyAt);
      return status === 101 ? 'opaque' : 'interim';
    }
    const sequel = method === 'CONNECT' && status < 300 ? 'opaque' : head.body;
    sink.head(head, at, bodyAt);
    return sequel;
  }
}
