import { buildPacket, type RawSender, SELF_MADE_TOS, TcpFlags } from '@resplice/dataplane';
import type { ConnectionId } from '@resplice/protocol';

const { ACK, FIN, PSH, RST } = TcpFlags;
const NO_BYTES = new Uint8Array(0);

type Addresses = Omit<ConnectionId, 'isn'>;

/** What the logger says to clients in the VIP's name; program `logger_out` gives it to a live proxy. Numbers are in client space. */
export class Speaker {
  readonly #sender: RawSender;
  readonly #segmentBytes: number;
  readonly #into = new Uint8Array(65_535);
  #scheduled = false;
  #closed = false;

  /** @param segmentBytes largest segment */
  constructor(sender: RawSender, segmentBytes: number) {
    this.#sender = sender;
    this.#segmentBytes = segmentBytes;
  }

  /**
   * Sends bytes in segments that fit; without any, a bare ACK.
   *
   * @param mss the client's own limit
   * @param window the field
   * @param fin whether the server's FIN follows
   * @param options TCP options of each segment
   */
  say(
    to: Addresses,
    fields: {
      seq: number;
      ack: number;
      window: number;
      mss: number;
      payload?: Uint8Array;
      fin?: boolean;
      options?: Uint8Array;
    },
  ): void {
    const { payload = NO_BYTES, seq, ack, window, fin = false, options } = fields;
    const most = Math.min(fields.mss, this.#segmentBytes);
    let offset = 0;
    do {
      const part = payload.subarray(offset, offset + most);
      const last = offset + part.length === payload.length;
      const flags = ACK | (last && payload.length > 0 ? PSH : 0) | (last && fin ? FIN : 0);
      this.#queue(to, (seq + offset) >>> 0, ack, flags, window, part, options);
      offset += part.length;
    } while (offset < payload.length);
  }

  /** @param seq exactly what the client expects next, or it will ask first (RFC 5961 §3.2) */
  reset(to: Addresses, seq: number): void {
    this.#queue(to, seq, 0, RST, 0, NO_BYTES);
  }

  close(): void {
    this.#sender.flush();
    this.#sender.close();
    this.#closed = true;
  }

  #queue(
    to: Addresses,
    seq: number,
    ack: number,
    flags: number,
    window: number,
    payload: Uint8Array,
    options?: Uint8Array,
  ): void {
    if (this.#closed) return;
    this.#sender.queue(
      buildPacket({
        src: to.vip,
        dst: to.client,
        sport: to.vipPort,
        dport: to.clientPort,
        seq,
        ack,
        flags,
        window,
        payload,
        options,
        tos: SELF_MADE_TOS,
        into: this.#into,
      }),
    );
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#sender.flush();
    });
  }
}
