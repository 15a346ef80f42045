import { type FramingSink, MessageFraming, type Sequel } from './message-framing.ts';
import { RequestHead } from './request-head.ts';

export interface RequestSink extends FramingSink {
  /**
   * @param head only valid during the call
   * @param at offset of the request's first byte; empty lines before it are not part of it
   * @param bodyAt offset behind the head's empty line
   */
  head(head: RequestHead, at: number, bodyAt: number): void;
}

const head = new RequestHead();

/**
 * Finds the requests in a client's stream (P6.2). What `apps/proxy` refuses in a first head for the sake of framing breaks the
 * stream here. When the server has accepted an upgrade or a CONNECT, the owner calls `becomeOpaque`.
 */
export class RequestFraming extends MessageFraming<RequestSink> {
  /** @internal */
  protected get head(): RequestHead {
    return head;
  }

  /** @internal A recipient passes over them (RFC 9112 §2.2); as many as `apps/proxy` does. */
  protected get maxBlankLines(): number {
    return 4;
  }

  protected refusal(): undefined {}

  protected announce(sink: RequestSink, at: number, bodyAt: number): Sequel {
    const { body } = head;
    sink.head(head, at, bodyAt);
    return body;
  }
}
