// A request's identity and everything in it that chance or the clock would decide: given these, running it again on
// another server has the same effect and the same answer (P4.6, P8.3, P9.2).

import { randomBytes, randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';

export interface Transaction {
  /** Unique for ever; in database effects and Message-IDs. Letters, digits, `-` and `_`. */
  readonly id: string;
  /** The request's one instant. */
  readonly now: Date;
  /** Unpredictable bytes, the same sequence when the transaction is run again. */
  random(bytes: number): Buffer<ArrayBuffer>;
}

/** Where transactions come from: of the server's own making here, of the back-end kit's behind the tier. */
export type TransactionSource = (request: FastifyRequest) => Transaction;

/** For a server on its own: nothing is ever run again. */
export const ownTransactions: TransactionSource = () => ({
  id: randomUUID(),
  now: new Date(),
  random: randomBytes,
});

/** A random UUID (RFC 9562 5.4) of the transaction's randomness. */
export function uuidOf(transaction: Transaction): string {
  const bytes = transaction.random(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
