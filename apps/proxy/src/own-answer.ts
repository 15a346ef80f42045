import { add } from '@resplice/dataplane';
import type { ConnectionId } from '@resplice/protocol';
import type { Wire } from '@resplice/splice';

/**
 * An answer of the proxy's own to a connection's first request. It needs no state in the kernel, and little here: if it is lost,
 * the client sends its request again and is answered again.
 */
export class OwnAnswer {
  readonly #wire: Pick<Wire, 'answer' | 'acknowledge'>;
  readonly #id: ConnectionId;
  readonly #p0: number;
  readonly #bytes: Uint8Array;

  /** @param bytes as `renderAnswer` makes them */
  constructor(wire: Pick<Wire, 'answer' | 'acknowledge'>, id: ConnectionId, p0: number, bytes: Uint8Array) {
    this.#wire = wire;
    this.#id = id;
    this.#p0 = p0;
    this.#bytes = bytes;
  }

  /** @param clientEnd sequence number behind what the client has sent, its FIN included */
  send(clientEnd: number): void {
    this.#wire.answer(this.#id, this.#p0, clientEnd, this.#bytes);
  }

  /** The client sends on: bytes say that the answer has not arrived, a bare ACK that it has. */
  sendAgain(segment: { fin: boolean; payload: Uint8Array }, clientEnd: number): void {
    if (segment.payload.length > 0) this.send(clientEnd);
    else if (segment.fin) {
      // Behind the answer and its FIN.
      this.#wire.acknowledge(this.#id, add(this.#p0, 1 + this.#bytes.length + 1), clientEnd);
    }
  }
}
