// A client's bytes before there is a splice: handed over to the proxy that sets the connection up, or kept for it.

import { CONNECTION_BYTES, type ConnectionId, putConnection, takeConnection } from './connection.ts';
import type { Cursor } from './cursor.ts';
import { RecordType } from './record-type.ts';

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

export type HeadRecord =
  /** Bytes of a client for the proxy that is setting its connection up: another one got them. `connection.isn` says nothing. */
  | { type: 'segment'; connection: ConnectionId; segment: SegmentRecord }
  /**
   * "Keep this part of a head; I set the connection up." Answered: 'none' means kept; 'held' by the asker itself, that the parts
   * before are missing.
   */
  | { type: 'store'; id: number; connection: ConnectionId; part: HeadPart }
  /** What was stored has arrived at a back end, or is of no use any more. */
  | { type: 'drop'; connection: ConnectionId };

/** Longer payloads travel in several records. */
export const MAX_SEGMENT_BYTES = 1024;

const SEGMENT_BYTES = 1 + CONNECTION_BYTES + 13;
const STORE_BYTES = 5 + CONNECTION_BYTES + 12;
/** The longest record here, in bytes. */
export const MAX_HEAD_RECORD_BYTES = Math.max(SEGMENT_BYTES, STORE_BYTES) + MAX_SEGMENT_BYTES;

export function putHeadRecord(to: Cursor, record: HeadRecord): void {
  switch (record.type) {
    case 'segment': {
      const { sequence, acknowledgement, window, fin, payload } = record.segment;
      to.putU8(RecordType.SEGMENT);
      putConnection(to, record.connection);
      to.putU32(sequence);
      to.putU32(acknowledgement);
      to.putU16(window);
      to.putFlag(fin);
      to.putU16(payload.length);
      to.putBytes(payload);
      break;
    }
    case 'store': {
      const { p0, offer, offset, payload } = record.part;
      to.putU8(RecordType.STORE);
      to.putU32(record.id);
      putConnection(to, record.connection);
      to.putU32(p0);
      to.putU16(offer.mss);
      to.putU8(offer.windowScale);
      to.putFlag(offer.sackPermitted);
      to.putU16(offset);
      to.putU16(payload.length);
      to.putBytes(payload);
      break;
    }
    case 'drop':
      to.putU8(RecordType.DROP);
      putConnection(to, record.connection);
      break;
  }
}

/** @returns undefined: that type is of no record here */
export function takeHeadRecord(type: number, from: Cursor): HeadRecord | undefined {
  switch (type) {
    case RecordType.SEGMENT:
      return {
        type: 'segment',
        connection: takeConnection(from),
        segment: {
          sequence: from.takeU32(),
          acknowledgement: from.takeU32(),
          window: from.takeU16(),
          fin: from.takeFlag(),
          payload: from.takeBytes(from.takeU16()),
        },
      };
    case RecordType.STORE:
      return {
        type: 'store',
        id: from.takeU32(),
        connection: takeConnection(from),
        part: {
          p0: from.takeU32(),
          offer: {
            mss: from.takeU16(),
            windowScale: from.takeU8(),
            sackPermitted: from.takeFlag(),
          },
          offset: from.takeU16(),
          payload: from.takeBytes(from.takeU16()),
        },
      };
    case RecordType.DROP:
      return { type: 'drop', connection: takeConnection(from) };
    default:
      return undefined;
  }
}
