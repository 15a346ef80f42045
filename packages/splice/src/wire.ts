import {
  add,
  buildPacket,
  deltaOf,
  encodeOptions,
  identityMac,
  orderOf,
  type RawSender,
  SELF_MADE_TOS,
  TcpFlags,
  toServerAck,
} from '@resplice/dataplane';
import type { ClientOffer, ConnectionId, Entry } from '@resplice/protocol';
import type { Backend } from './backends.ts';

const { ACK, FIN, PSH, RST, SYN } = TcpFlags;

/** Value of `windowScale` for "not offered". */
export const NO_WINDOW_SCALE = 15;
const NO_BYTES = new Uint8Array(0);
/** What the kernel half announces before there is a back end (proxy.bpf.c). */
const CLIENT_WINDOW = 64_240;
export const CLIENT_WINDOW_SCALE = 7;

/** By how many bits the client's own windows are to be shifted. */
export function shiftOf({ windowScale }: ClientOffer): number {
  return windowScale === NO_WINDOW_SCALE ? 0 : windowScale;
}

/** Bytes that the client sent, at their place in its sequence space, with the header fields that go with them. */
export interface ClientBytes {
  sequence: number;
  /** Client space. */
  acknowledgement: number;
  /** The field as the client sent it. */
  window: number;
  payload: Uint8Array;
  /** Whether the client's FIN follows. */
  fin: boolean;
}

/** A connection as it is dialled: once more, after a failover, with another ISN than the client's own. */
export interface DialledId extends ConnectionId {
  /** What it was when it was new; absent: it is. */
  moved?: {
    /** The client's own. */
    isn: number;
    /** The cookie that it was answered with. */
    p0: number;
    /** Its requests that other back ends were given before; 65,534 or more: nobody knows. */
    start: number;
  };
}

/** The packets that a proxy or a logger makes itself: SYNs to back ends in the client's name, held-back bytes, answers of its own. */
export class Wire {
  readonly #sender: RawSender;
  readonly #self: { id: number };
  readonly #macKey: Uint8Array;
  readonly #segmentSize: { readonly bytes: number };
  readonly #into = new Uint8Array(65_535);
  #flushScheduled = false;
  #closed = false;

  /**
   * @param macKey 16 bytes, shared with the back ends' agents
   * @param segmentSize largest segment, bytes; may change
   */
  constructor(
    sender: RawSender,
    self: { id: number },
    macKey: Uint8Array,
    segmentSize: { readonly bytes: number },
  ) {
    this.#sender = sender;
    this.#self = self;
    this.#macKey = macKey;
    this.#segmentSize = segmentSize;
  }

  /**
   * Asks a back end for a connection in the client's name, with the client's own ISN and the cookie in the acknowledgement field
   * (ARCHITECTURE §2.3).
   *
   * It goes out twice, back to back. The second SYN-ACK makes the back end's kernel discard the handshake's round-trip time, which
   * is that of proxy and back end, not of the client 300 ms away: it would time out on every segment.
   *
   * @param owed bytes that the proxies have acknowledged to the client; how far they get, the back end tells this proxy
   */
  syn(backend: Backend, id: DialledId, p0: number, offer: ClientOffer, owed: number): void {
    const { isn: originalIsn, p0: originalP0 } = id.moved ?? { isn: id.isn, p0 };
    const its = {
      ...{ proxyId: this.#self.id, originalIsn, originalP0 },
      ...{ vip: id.vip, vipPort: id.vipPort, order: orderOf(id.moved?.start) },
    };
    const mac = identityMac(this.#macKey, {
      clientIp: id.client,
      backendIp: backend.address,
      clientPort: id.clientPort,
      backendPort: backend.port,
      synIsn: id.isn,
      p0,
      owed,
      ...its,
    });
    const options = encodeOptions({
      mss: Math.min(offer.mss, this.#segmentSize.bytes),
      sackPermitted: offer.sackPermitted,
      windowScale: offer.windowScale === NO_WINDOW_SCALE ? undefined : offer.windowScale,
      identity: { ...its, mac },
    });
    const packet = buildPacket({
      ...this.#towards(backend, id),
      seq: id.isn,
      ack: p0,
      flags: SYN,
      window: 65_535,
      urgent: owed,
      options,
      into: this.#into,
    });
    this.#queue(packet);
    this.#queue(packet);
  }

  /** Ends whatever the back end holds for this client's address and port. `seq` must be exactly what it expects next. */
  reset(backend: Backend, id: ConnectionId, seq: number): void {
    this.#queue(
      buildPacket({ ...this.#towards(backend, id), seq, ack: 0, flags: RST, window: 0, into: this.#into }),
    );
  }

  /** Delivers a client's bytes in its name, in segments that fit. Without bytes it is a bare ACK. */
  deliver(backend: Backend, entry: ConnectionId & { delta: number }, bytes: ClientBytes): void {
    const ack = toServerAck(bytes.acknowledgement, entry.delta);
    const { payload } = bytes;
    let offset = 0;
    do {
      const part = payload.subarray(offset, offset + this.#segmentSize.bytes);
      const last = offset + part.length === payload.length;
      const push = last && payload.length > 0 ? PSH : 0;
      this.#queue(
        buildPacket({
          ...this.#towards(backend, entry),
          seq: add(bytes.sequence, offset),
          ack,
          flags: ACK | push | (last && bytes.fin ? FIN : 0),
          window: bytes.window,
          payload: part,
          into: this.#into,
        }),
      );
      offset += part.length;
    } while (offset < payload.length);
  }

  /**
   * Answers a request in the VIP's name and closes, without a back end and without state: if it is lost, the client repeats its
   * request and is answered again.
   *
   * @param end sequence number behind the last byte that the client sent
   */
  answer(id: ConnectionId, p0: number, end: number, body: Uint8Array): void {
    const mss = 536; // every client takes that
    let seq = add(p0, 1);
    for (let offset = 0; offset < body.length; offset += mss) {
      const part = body.subarray(offset, offset + mss);
      const last = offset + part.length === body.length;
      this.#toClient(id, seq, end, ACK | PSH | (last ? FIN : 0), part);
      seq = add(seq, part.length);
    }
  }

  #toClient(
    id: Omit<ConnectionId, 'isn'>,
    seq: number,
    ack: number,
    flags: number,
    payload: Uint8Array,
    window = 512,
  ): void {
    this.#queue(
      buildPacket({
        src: id.vip,
        dst: id.client,
        sport: id.vipPort,
        dport: id.clientPort,
        seq,
        ack,
        flags,
        window,
        payload,
        into: this.#into,
      }),
    );
  }

  /**
   * Tells a client that its connection is unknown: the one sequence number that it accepts a reset with is the one that it
   * acknowledges (RFC 9293 §3.5.2, RFC 5961 §3.2).
   */
  refuse(id: Omit<ConnectionId, 'isn'>, segment: Pick<ClientBytes, 'acknowledgement'>): void {
    this.#toClient(id, segment.acknowledgement, 0, RST, NO_BYTES, 0);
  }

  /** Acknowledges a client's last bytes in the VIP's name. */
  acknowledge(id: ConnectionId, seq: number, ack: number): void {
    this.#toClient(id, seq, ack, ACK, NO_BYTES);
  }

  /** Acknowledges the first `length` bytes of a request before there is a back end. */
  acknowledgeHead(id: ConnectionId, p0: number, length: number, offer: ClientOffer): void {
    const window =
      offer.windowScale === NO_WINDOW_SCALE ? CLIENT_WINDOW : CLIENT_WINDOW >> CLIENT_WINDOW_SCALE;
    this.#toClient(id, add(p0, 1), add(id.isn, 1 + length), ACK, NO_BYTES, window);
  }

  /** Sends what is queued, and nothing after that. */
  close(): void {
    this.#sender.flush();
    this.#sender.close();
    this.#closed = true;
  }

  #towards(backend: Backend, id: ConnectionId) {
    const ports = { sport: id.clientPort, dport: backend.port };
    return { src: id.client, dst: backend.address, ...ports, tos: SELF_MADE_TOS };
  }

  #queue(packet: Uint8Array): void {
    if (this.#closed) return;
    this.#sender.queue(packet);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      if (!this.#closed) this.#sender.flush();
    });
  }
}

/** The splice that a back end's SYN-ACK makes possible. */
export function entryFrom(id: ConnectionId, p0: number, s0: number, backend: Backend, owner: number): Entry {
  return { ...id, p0, delta: deltaOf(p0, s0), backend: backend.id, owner, createdMs: Date.now() };
}
