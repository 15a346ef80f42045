// What proxies tell each other about connections, and ask the router about each other. Many records share one sealed datagram: a datagram's cost is in its seal
// and its system call, not in its bytes. All numbers big-endian; every record begins with its type.

/** A client's connection: the 4-tuple and the client's ISN, because ports are used again. Host order. */
export interface ConnectionId {
  client: number;
  vip: number;
  clientPort: number;
  vipPort: number;
  /** The client's initial sequence number. */
  isn: number;
}

/** A splice as it is replicated (P3.1). */
export interface Entry extends ConnectionId {
  /** The cookie: server-side sequence number that the client knows. */
  p0: number;
  /** p0 - s0, modulo 2^32. */
  delta: number;
  backend: number;
  /** Id of the proxy that made it. */
  owner: number;
  /** Wall clock, ms since 1970. */
  createdMs: number;
}

/** A client's segment, or part of one. */
export interface SegmentRecord {
  sequence: number;
  acknowledgement: number;
  /** The field as the client sent it. */
  window: number;
  /** Whether its FIN follows. */
  fin: boolean;
  /** At most MAX_SEGMENT_BYTES. */
  payload: Uint8Array;
}

/** What a client's SYN offered, as its cookie says. */
export interface ClientOffer {
  /** Largest segment that the client takes, bytes. */
  mss: number;
  /** 15: the option was not offered. */
  windowScale: number;
  sackPermitted: boolean;
}

/** A part of a request's head that is to be acknowledged to its client once every peer has it. */
export interface HeadPart {
  /** Server-side sequence number that the client knows. */
  p0: number;
  offer: ClientOffer;
  /** Place of `payload`: bytes behind the request's first. */
  offset: number;
  /** At most MAX_SEGMENT_BYTES. */
  payload: Uint8Array;
}

/** What is answered: what a peer knows of a connection, or how the asker stands. */
export type Knowledge =
  /** Nothing; if the question was a claim, the asker now holds the gate here. */
  | { kind: 'none' }
  /** A splice: whoever set it up, it is to be used. */
  | { kind: 'entry'; entry: Entry }
  /** Another proxy is setting it up. */
  | { kind: 'held'; holder: number }
  /** From the router: whether the asker is fenced, or may not come in yet. `generation` counts its fences. */
  | { kind: 'standing'; fenced: boolean; generation: number };

export type ControlRecord =
  /** "Do you know this connection?" With `claim`: "if nobody does, I set it up". `isn` counts only with `claim`. */
  | { type: 'ask'; id: number; claim: boolean; connection: ConnectionId }
  | { type: 'answer'; id: number; knowledge: Knowledge }
  /** "Keep this splice." Answered by an answer with the same id: 'entry' with the very splice means kept. */
  | { type: 'publish'; id: number; entry: Entry }
  /** Bytes of a client for the proxy that is setting its connection up: another one got them. `connection.isn` says nothing. */
  | { type: 'segment'; connection: ConnectionId; segment: SegmentRecord }
  /**
   * "Keep this part of a head; I set the connection up." Answered: 'none' means kept; 'held' by the asker itself, that the parts
   * before are missing.
   */
  | { type: 'store'; id: number; connection: ConnectionId; part: HeadPart }
  /** What was stored has arrived at a back end, or is of no use any more. */
  | { type: 'drop'; connection: ConnectionId }
  /** "Tell me what I have missed." Answered at once; the telling ends with `synced`, which bears the same generation. */
  | { type: 'catchUp'; id: number; generation: number }
  /** That was all that the receiver can have missed. Answered, so that it is not lost. */
  | { type: 'synced'; id: number; generation: number }
  /** To the router: "let nothing more through from that proxy; I go on without it". */
  | { type: 'fence'; id: number; proxy: number; epoch: number }
  /** To the router: "how do I stand?" */
  | { type: 'standing'; id: number }
  /** To the router: "these proxies have told me what I missed since that fence: let me in". */
  | { type: 'join'; id: number; generation: number; told: readonly number[] }
  /** The set-up came to nothing: the gate is free. */
  | { type: 'release'; connection: ConnectionId }
  /** The client has closed its half: the connection no longer counts as load. */
  | { type: 'closing'; connection: ConnectionId }
  /** Closed and long silent: forget it. */
  | { type: 'forget'; connection: ConnectionId };

const ASK = 1;
const ANSWER_NONE = 2;
const ANSWER_ENTRY = 3;
const ANSWER_HELD = 4;
const PUBLISH = 5;
const RELEASE = 6;
const CLOSING = 7;
const FORGET = 8;
const SYNCED = 9;
const SEGMENT = 10;
const ANSWER_STANDING = 11;
const CATCH_UP = 12;
const FENCE = 13;
const STANDING = 14;
const JOIN = 15;
const STORE = 16;
const DROP = 17;

const CONNECTION_BYTES = 16;
const ENTRY_BYTES = CONNECTION_BYTES + 20;

const SEGMENT_BYTES = 1 + CONNECTION_BYTES + 13;
const STORE_BYTES = 5 + CONNECTION_BYTES + 12;

/** Longer payloads travel in several records. */
export const MAX_SEGMENT_BYTES = 1024;

/** The longest record in bytes. */
export const MAX_RECORD_BYTES = Math.max(SEGMENT_BYTES, STORE_BYTES) + MAX_SEGMENT_BYTES;

/** A record that cannot be: from another version, or made by a bug. The datagram was authentic, so this deserves a log line. */
export class RecordError extends Error {}

/** Writes one record at `offset` and returns the offset behind it. The buffer must have MAX_RECORD_BYTES left. */
export function writeRecord(view: DataView, offset: number, record: ControlRecord): number {
  switch (record.type) {
    case 'ask':
      view.setUint8(offset, ASK);
      view.setUint32(offset + 1, record.id);
      view.setUint8(offset + 5, record.claim ? 1 : 0);
      return writeConnection(view, offset + 6, record.connection);
    case 'answer': {
      const { knowledge } = record;
      view.setUint32(offset + 1, record.id);
      if (knowledge.kind === 'entry') {
        view.setUint8(offset, ANSWER_ENTRY);
        return writeEntry(view, offset + 5, knowledge.entry);
      }
      if (knowledge.kind === 'none') {
        view.setUint8(offset, ANSWER_NONE);
        return offset + 5;
      }
      if (knowledge.kind === 'standing') {
        view.setUint8(offset, ANSWER_STANDING);
        view.setUint8(offset + 5, knowledge.fenced ? 1 : 0);
        view.setUint32(offset + 6, knowledge.generation);
        return offset + 10;
      }
      view.setUint8(offset, ANSWER_HELD);
      view.setUint16(offset + 5, knowledge.holder);
      return offset + 7;
    }
    case 'publish':
      view.setUint8(offset, PUBLISH);
      view.setUint32(offset + 1, record.id);
      return writeEntry(view, offset + 5, record.entry);
    case 'catchUp':
    case 'synced':
      view.setUint8(offset, record.type === 'synced' ? SYNCED : CATCH_UP);
      view.setUint32(offset + 1, record.id);
      view.setUint32(offset + 5, record.generation);
      return offset + 9;
    case 'fence':
      view.setUint8(offset, FENCE);
      view.setUint32(offset + 1, record.id);
      view.setUint16(offset + 5, record.proxy);
      view.setUint32(offset + 7, record.epoch);
      return offset + 11;
    case 'standing':
      view.setUint8(offset, STANDING);
      view.setUint32(offset + 1, record.id);
      return offset + 5;
    case 'join':
      view.setUint8(offset, JOIN);
      view.setUint32(offset + 1, record.id);
      view.setUint32(offset + 5, record.generation);
      view.setUint8(offset + 9, record.told.length);
      for (const [i, proxy] of record.told.entries()) view.setUint16(offset + 10 + 2 * i, proxy);
      return offset + 10 + 2 * record.told.length;
    case 'segment': {
      const { sequence, acknowledgement, window, fin, payload } = record.segment;
      view.setUint8(offset, SEGMENT);
      const at = writeConnection(view, offset + 1, record.connection);
      view.setUint32(at, sequence);
      view.setUint32(at + 4, acknowledgement);
      view.setUint16(at + 8, window);
      view.setUint8(at + 10, fin ? 1 : 0);
      view.setUint16(at + 11, payload.length);
      return writeBytes(view, at + 13, payload);
    }
    case 'store': {
      const { p0, offer, offset: place, payload } = record.part;
      view.setUint8(offset, STORE);
      view.setUint32(offset + 1, record.id);
      const at = writeConnection(view, offset + 5, record.connection);
      view.setUint32(at, p0);
      view.setUint16(at + 4, offer.mss);
      view.setUint8(at + 6, offer.windowScale);
      view.setUint8(at + 7, offer.sackPermitted ? 1 : 0);
      view.setUint16(at + 8, place);
      view.setUint16(at + 10, payload.length);
      return writeBytes(view, at + 12, payload);
    }
    case 'drop':
      view.setUint8(offset, DROP);
      return writeConnection(view, offset + 1, record.connection);
    case 'release':
      view.setUint8(offset, RELEASE);
      return writeConnection(view, offset + 1, record.connection);
    case 'closing':
      view.setUint8(offset, CLOSING);
      return writeConnection(view, offset + 1, record.connection);
    case 'forget':
      view.setUint8(offset, FORGET);
      return writeConnection(view, offset + 1, record.connection);
  }
}

/** Records that hold nothing but a connection. */
const BARE = { [RELEASE]: 'release', [CLOSING]: 'closing', [FORGET]: 'forget', [DROP]: 'drop' } as const;

/**
 * Reads all records of a datagram.
 *
 * @throws RecordError on an unknown type or a record that is cut short; nothing of the datagram is to be used then
 */
export function readRecords(payload: Uint8Array): ControlRecord[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const records: ControlRecord[] = [];
  let offset = 0;
  try {
    while (offset < view.byteLength) {
      const type = view.getUint8(offset);
      switch (type) {
        case ASK:
          records.push({
            type: 'ask',
            id: view.getUint32(offset + 1),
            claim: view.getUint8(offset + 5) === 1,
            connection: readConnection(view, offset + 6),
          });
          offset += 6 + CONNECTION_BYTES;
          break;
        case ANSWER_NONE:
          records.push({ type: 'answer', id: view.getUint32(offset + 1), knowledge: { kind: 'none' } });
          offset += 5;
          break;
        case ANSWER_ENTRY: {
          const entry = readEntry(view, offset + 5);
          records.push({
            type: 'answer',
            id: view.getUint32(offset + 1),
            knowledge: { kind: 'entry', entry },
          });
          offset += 5 + ENTRY_BYTES;
          break;
        }
        case ANSWER_HELD: {
          const holder = view.getUint16(offset + 5);
          records.push({
            type: 'answer',
            id: view.getUint32(offset + 1),
            knowledge: { kind: 'held', holder },
          });
          offset += 7;
          break;
        }
        case PUBLISH:
          records.push({
            type: 'publish',
            id: view.getUint32(offset + 1),
            entry: readEntry(view, offset + 5),
          });
          offset += 5 + ENTRY_BYTES;
          break;
        case ANSWER_STANDING: {
          const fenced = view.getUint8(offset + 5) === 1;
          const generation = view.getUint32(offset + 6);
          const knowledge: Knowledge = { kind: 'standing', fenced, generation };
          records.push({ type: 'answer', id: view.getUint32(offset + 1), knowledge });
          offset += 10;
          break;
        }
        case CATCH_UP:
        case SYNCED:
          records.push({
            type: type === SYNCED ? 'synced' : 'catchUp',
            id: view.getUint32(offset + 1),
            generation: view.getUint32(offset + 5),
          });
          offset += 9;
          break;
        case FENCE:
          records.push({
            type: 'fence',
            id: view.getUint32(offset + 1),
            proxy: view.getUint16(offset + 5),
            epoch: view.getUint32(offset + 7),
          });
          offset += 11;
          break;
        case STANDING:
          records.push({ type: 'standing', id: view.getUint32(offset + 1) });
          offset += 5;
          break;
        case JOIN: {
          const count = view.getUint8(offset + 9);
          const told = Array.from({ length: count }, (_, i) => view.getUint16(offset + 10 + 2 * i));
          records.push({
            type: 'join',
            id: view.getUint32(offset + 1),
            generation: view.getUint32(offset + 5),
            told,
          });
          offset += 10 + 2 * count;
          break;
        }
        case SEGMENT: {
          const at = offset + 1 + CONNECTION_BYTES;
          const bytes = readBytes(payload, at + 13, view.getUint16(at + 11));
          records.push({
            type: 'segment',
            connection: readConnection(view, offset + 1),
            segment: {
              sequence: view.getUint32(at),
              acknowledgement: view.getUint32(at + 4),
              window: view.getUint16(at + 8),
              fin: view.getUint8(at + 10) === 1,
              payload: bytes,
            },
          });
          offset = at + 13 + bytes.length;
          break;
        }
        case STORE: {
          const at = offset + 5 + CONNECTION_BYTES;
          const bytes = readBytes(payload, at + 12, view.getUint16(at + 10));
          records.push({
            type: 'store',
            id: view.getUint32(offset + 1),
            connection: readConnection(view, offset + 5),
            part: {
              p0: view.getUint32(at),
              offer: {
                mss: view.getUint16(at + 4),
                windowScale: view.getUint8(at + 6),
                sackPermitted: view.getUint8(at + 7) === 1,
              },
              offset: view.getUint16(at + 8),
              payload: bytes,
            },
          });
          offset = at + 12 + bytes.length;
          break;
        }
        case RELEASE:
        case CLOSING:
        case FORGET:
        case DROP:
          records.push({
            type: BARE[type],
            connection: readConnection(view, offset + 1),
          });
          offset += 1 + CONNECTION_BYTES;
          break;
        default:
          throw new RecordError(`record of unknown type ${type} at byte ${offset}`);
      }
    }
  } catch (error) {
    if (error instanceof RecordError) throw error;
    throw new RecordError(`record cut short at byte ${offset} of ${view.byteLength}`, { cause: error });
  }
  return records;
}

function writeBytes(view: DataView, offset: number, bytes: Uint8Array): number {
  new Uint8Array(view.buffer, view.byteOffset + offset, bytes.length).set(bytes);
  return offset + bytes.length;
}

function readBytes(payload: Uint8Array, offset: number, length: number): Uint8Array {
  if (offset + length > payload.length) throw new RangeError('payload cut short');
  // A copy, whatever the view is of: the datagram's bytes are used again.
  return new Uint8Array(payload.subarray(offset, offset + length));
}

function writeConnection(view: DataView, offset: number, id: ConnectionId): number {
  view.setUint32(offset, id.client);
  view.setUint32(offset + 4, id.vip);
  view.setUint16(offset + 8, id.clientPort);
  view.setUint16(offset + 10, id.vipPort);
  view.setUint32(offset + 12, id.isn);
  return offset + CONNECTION_BYTES;
}

function readConnection(view: DataView, offset: number): ConnectionId {
  return {
    client: view.getUint32(offset),
    vip: view.getUint32(offset + 4),
    clientPort: view.getUint16(offset + 8),
    vipPort: view.getUint16(offset + 10),
    isn: view.getUint32(offset + 12),
  };
}

function writeEntry(view: DataView, offset: number, entry: Entry): number {
  const at = writeConnection(view, offset, entry);
  view.setUint32(at, entry.p0);
  view.setUint32(at + 4, entry.delta);
  view.setUint16(at + 8, entry.backend);
  view.setUint16(at + 10, entry.owner);
  view.setFloat64(at + 12, entry.createdMs);
  return at + 20;
}

function readEntry(view: DataView, offset: number): Entry {
  const at = offset + CONNECTION_BYTES;
  return {
    ...readConnection(view, offset),
    p0: view.getUint32(at),
    delta: view.getUint32(at + 4),
    backend: view.getUint16(at + 8),
    owner: view.getUint16(at + 10),
    createdMs: view.getFloat64(at + 12),
  };
}

/** A name for the 4-tuple, for maps. */
export function tupleKey(id: Omit<ConnectionId, 'isn'>): string {
  return `${id.client}:${id.clientPort}>${id.vip}:${id.vipPort}`;
}

/** A name for the connection itself: tuple and ISN. */
export function connectionKey(id: ConnectionId): string {
  return `${tupleKey(id)}#${id.isn}`;
}
