import { DatagramSocket, parseIp } from '@resplice/dataplane';
import {
  type ControlRecord,
  type Knowledge,
  MAX_RECORD_BYTES,
  Opener,
  readRecords,
  Sealer,
  writeRecord,
} from '@resplice/protocol';
import type { Log } from './log.ts';
import type { PeerConfig } from './schema.ts';

/** Payload bytes of one datagram; with seal and headers it stays below an Ethernet frame. */
const BATCH_BYTES = 1300;
/** Every batch begins with the id of the daemon that it is for. */
const RECEIVER_BYTES = 2;
/**
 * A question is repeated after so many ms, or three times as long as the peer takes to answer these days; then after twice as
 * many, and so on. A peer that is busy must not be made busier.
 */
const RETRY_MS = 10;
const MAX_RETRY_MS = 640;
/** What is not urgent waits so long for something to travel with. */
const LATER_MS = 5;
/** A question that was put so often was heard or the peer is not well: liveness decides, not we. */
const ATTEMPTS = 7;

/** What was put to a peer and not answered yet. */
interface Question {
  peer: number;
  record: ControlRecord;
  attempts: number;
  /** performance.now() when it was first put. */
  askedMs: number;
  /** performance.now() of the next repetition. */
  due: number;
  resolve(knowledge: Knowledge | undefined): void;
}

/** The records to one peer that await the end of this turn of the event loop. */
class Batch {
  readonly bytes = new Uint8Array(BATCH_BYTES + MAX_RECORD_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  length = RECEIVER_BYTES;

  constructor(receiver: number) {
    this.view.setUint16(0, receiver);
  }
}

/** What a channel counts; published by the daemon that owns it. */
export interface ChannelCounters {
  /** Questions that were put as often as may be, and not answered. */
  peersSilent: number;
  /** Datagrams that were forged, replayed, stale, or not for us. */
  recordsRefused: number;
  /** Authentic datagrams that could not be read. */
  recordsMalformed: number;
}

/** Sealed records between daemons over UDP: batched, repeated until answered (ARCHITECTURE §8). */
export class ControlChannel {
  readonly #socket: DatagramSocket;
  readonly #sealer: Sealer;
  readonly #opener: Opener;
  readonly #port: number;
  readonly #self: number;
  /** Peers' addresses in host order, by their ids. */
  readonly #peers: ReadonlyMap<number, number>;
  readonly #counters: ChannelCounters;
  readonly #log: Log;
  readonly #batches = new Map<number, Batch>();
  readonly #questions = new Map<number, Question>();
  /** How long each peer takes to answer, ms: a moving average. */
  readonly #answerMs = new Map<number, number>();
  readonly #onRecord: ControlChannelOptions['onRecord'];
  #nextId = 0;
  #flushScheduled = false;
  #flushLater: NodeJS.Timeout | undefined;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Binds to `address`:`port`.
   * @throws DataplaneError, e.g. EADDRINUSE
   */
  constructor(options: ControlChannelOptions) {
    const { address, port } = options;
    this.#socket = new DatagramSocket({ address: parseIp(address), port, receiveBuffer: 4 << 20 });
    this.#port = options.port;
    this.#self = options.id;
    this.#peers = new Map(options.peers.map(peer => [peer.id, parseIp(peer.address)]));
    this.#sealer = new Sealer({
      key: options.key,
      purpose: 'control',
      sender: options.id,
      epoch: options.epoch,
    });
    this.#opener = new Opener({ key: options.key, purpose: 'control' });
    this.#counters = options.counters;
    this.#log = options.log;
    this.#onRecord = options.onRecord;
    this.#socket.onDatagram(datagram => this.#receive(datagram));
  }

  /** Sends a record that needs no answer. */
  send(peer: number, record: ControlRecord): void {
    this.#enter(peer, record);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  /** The same for one that is not urgent: it goes with the next that is, 5 ms from now at the latest. */
  sendLater(peer: number, record: ControlRecord): void {
    this.#enter(peer, record);
    this.#flushLater ??= setTimeout(() => this.#flush(), LATER_MS);
  }

  #enter(peer: number, record: ControlRecord): void {
    let batch = this.#batches.get(peer);
    if (!batch) {
      batch = new Batch(peer);
      this.#batches.set(peer, batch);
    }
    const before = batch.length;
    batch.length = writeRecord(batch.view, before, record);
    if (batch.length > BATCH_BYTES && before > RECEIVER_BYTES) {
      // It does not fit any more: the others go, and it begins the next one.
      const last = batch.bytes.slice(before, batch.length);
      batch.length = before;
      this.#sendBatch(peer, batch);
      batch.bytes.set(last, RECEIVER_BYTES);
      batch.length = RECEIVER_BYTES + last.length;
    }
  }

  /** Puts a question until it is answered. Undefined: the peer stays silent, or `forgetPeer` was called. */
  ask(peer: number, makeRecord: (id: number) => ControlRecord): Promise<Knowledge | undefined> {
    this.#nextId = (this.#nextId % 0xffffffff) + 1;
    const id = this.#nextId;
    const record = makeRecord(id);
    this.send(peer, record);
    const askedMs = performance.now();
    const due = askedMs + this.#patience(peer, 0);
    return new Promise(resolve => {
      this.#questions.set(id, { peer, record, attempts: 1, askedMs, due, resolve });
      this.#timer ??= setInterval(() => this.#repeat(), RETRY_MS / 2);
    });
  }

  /** Gives up all questions to a peer, because it died. */
  forgetPeer(peer: number): void {
    for (const [id, question] of this.#questions) {
      if (question.peer !== peer) continue;
      this.#questions.delete(id);
      question.resolve(undefined);
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#flushLater);
    this.#socket.close();
  }

  #receive(datagram: Uint8Array): void {
    const opened = this.#opener.open(datagram);
    if (opened.refused !== undefined || !this.#peers.has(opened.sender) || !this.#isForUs(opened.payload)) {
      this.#counters.recordsRefused++;
      return;
    }
    let records: ControlRecord[];
    try {
      records = readRecords(opened.payload.subarray(RECEIVER_BYTES));
    } catch (error) {
      this.#counters.recordsMalformed++;
      this.#log.error({ err: error, peer: opened.sender }, 'a peer sends records that cannot be read');
      return;
    }
    for (const record of records) {
      if (record.type === 'answer') this.#answered(opened.sender, record.id, record.knowledge);
      else this.#onRecord(opened.sender, record, opened.epoch);
    }
  }

  /** A datagram to another daemon that is sent here is a replay like any other. */
  #isForUs(payload: Uint8Array): boolean {
    if (payload.length < RECEIVER_BYTES) return false;
    return ((payload[0]! << 8) | payload[1]!) === this.#self;
  }

  #answered(peer: number, id: number, knowledge: Knowledge): void {
    const question = this.#questions.get(id);
    if (!question || question.peer !== peer) return;
    this.#questions.delete(id);
    const tookMs = Math.min(performance.now() - question.askedMs, MAX_RETRY_MS);
    this.#answerMs.set(peer, ((this.#answerMs.get(peer) ?? tookMs) * 7 + tookMs) / 8);
    question.resolve(knowledge);
  }

  #patience(peer: number, repetitions: number): number {
    const first = Math.max(RETRY_MS, 3 * (this.#answerMs.get(peer) ?? 0));
    return Math.min(first * 2 ** repetitions, MAX_RETRY_MS);
  }

  #repeat(): void {
    const now = performance.now();
    for (const [id, question] of this.#questions) {
      if (question.due > now) continue;
      if (question.attempts >= ATTEMPTS) {
        this.#questions.delete(id);
        this.#counters.peersSilent++;
        question.resolve(undefined);
        continue;
      }
      question.due = now + this.#patience(question.peer, question.attempts);
      question.attempts++;
      this.send(question.peer, question.record);
    }
    if (this.#questions.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #flush(): void {
    this.#flushScheduled = false;
    clearTimeout(this.#flushLater);
    this.#flushLater = undefined;
    for (const [peer, batch] of this.#batches) this.#sendBatch(peer, batch);
  }

  #sendBatch(peer: number, batch: Batch): void {
    if (batch.length === RECEIVER_BYTES || this.#closed) return;
    const datagram = this.#sealer.seal(batch.bytes.subarray(0, batch.length));
    batch.length = RECEIVER_BYTES;
    // A datagram that is lost, here or on the way, is repeated or pulled: there is nothing to do about an error.
    this.#socket.send(datagram, this.#peers.get(peer)!, this.#port);
  }
}

export interface ControlChannelOptions {
  key: Uint8Array;
  id: number;
  epoch: number;
  address: string;
  port: number;
  peers: readonly PeerConfig[];
  counters: ChannelCounters;
  log: Log;
  /** Called for every authentic record but answers. `peer` is the sender's id, `epoch` that of its start. */
  onRecord(peer: number, record: ControlRecord, epoch: number): void;
}
