import type { Cursor } from './cursor.ts';

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

export const CONNECTION_BYTES = 16;

/** A name for the 4-tuple, for maps. */
export function tupleKey(id: Omit<ConnectionId, 'isn'>): string {
  return `${id.client}:${id.clientPort}>${id.vip}:${id.vipPort}`;
}

/** A name for the connection itself: tuple and ISN. */
export function connectionKey(id: ConnectionId): string {
  return `${tupleKey(id)}#${id.isn}`;
}

export function putConnection(to: Cursor, id: ConnectionId): void {
  to.putU32(id.client);
  to.putU32(id.vip);
  to.putU16(id.clientPort);
  to.putU16(id.vipPort);
  to.putU32(id.isn);
}

export function takeConnection(from: Cursor): ConnectionId {
  return {
    client: from.takeU32(),
    vip: from.takeU32(),
    clientPort: from.takeU16(),
    vipPort: from.takeU16(),
    isn: from.takeU32(),
  };
}

export function putEntry(to: Cursor, entry: Entry): void {
  putConnection(to, entry);
  to.putU32(entry.p0);
  to.putU32(entry.delta);
  to.putU16(entry.backend);
  to.putU16(entry.owner);
  to.putF64(entry.createdMs);
}

export function takeEntry(from: Cursor): Entry {
  return {
    ...takeConnection(from),
    p0: from.takeU32(),
    delta: from.takeU32(),
    backend: from.takeU16(),
    owner: from.takeU16(),
    createdMs: from.takeF64(),
  };
}
