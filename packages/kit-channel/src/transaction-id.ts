// A request's name (P4.6): the same at every back end that runs it, and no one else's ever.

import { createHmac, randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import { macKey } from './key.ts';

const port = z.int().min(0).max(65_535);
const u32 = z.int().min(0).max(0xffff_ffff);
const address = z.string().refine(isIPv4, 'must be an IPv4 address');

/** A client's connection, whichever back end serves it. ISNs tell apart what uses the same ports again. */
export const kitConnection = z.object({
  client: address,
  clientPort: port,
  vip: address,
  vipPort: port,
  /** The client's own initial sequence number, not that of a later SYN to a successor. */
  originalIsn: u32,
  /** Initial sequence number that the client knows of the server. */
  p0: u32,
});

export type KitConnection = z.output<typeof kitConnection>;

/** In the place of a first number: nobody knows how many requests were before. */
export const UNKNOWN_START = 65_535;
/** From here on a kit ends the connection, before numbers run out. */
export const LAST_NUMBER = 60_000;

/** Of the 32 that the MAC has; base64url makes 24 characters of them. */
const ID_BYTES = 18;

function putAddress(to: DataView, at: number, text: string): void {
  for (const [i, part] of text.split('.').entries()) to.setUint8(at + i, Number(part));
}

/** The connection as 20 bytes: client, its port, VIP, its port, ISN, p0; big-endian. */
function pack({ client, clientPort, vip, vipPort, originalIsn, p0 }: KitConnection, to: DataView): void {
  putAddress(to, 0, client);
  to.setUint16(4, clientPort);
  putAddress(to, 6, vip);
  to.setUint16(10, vipPort);
  to.setUint32(12, originalIsn);
  to.setUint32(16, p0);
}

/**
 * A transaction's ID: 24 letters, digits, `-` and `_`. It does not tell the client's address.
 * @param kitKey of `kitKeyOf`
 * @param number requests of this connection that were given to back ends before it, 0…65,534
 */
export function transactionId(kitKey: Uint8Array, connection: KitConnection, number: number): string {
  const bytes = new DataView(new ArrayBuffer(24));
  pack(connection, bytes);
  bytes.setUint32(20, number);
  const mac = createHmac('sha256', macKey(kitKey)).update('transaction').update(bytes).digest();
  return mac.toString('base64url', 0, ID_BYTES);
}

/** An ID that nobody can make again, for a request whose connection or number is not known. */
export function randomTransactionId(): string {
  return randomBytes(ID_BYTES).toString('base64url');
}

/** A name for maps. */
export function connectionName({ client, clientPort, vip, vipPort, originalIsn, p0 }: KitConnection): string {
  return `${client}:${clientPort}>${vip}:${vipPort}#${originalIsn}/${p0}`;
}
