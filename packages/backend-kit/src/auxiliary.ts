// Connections to auxiliary servers, by way of the back-end logger: each says at its beginning which transaction it is for, and
// which attempt at it (P5.2, P8.3).

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encodeProxyHeader } from '@resplice/protocol';
import type { Kit } from './kit.ts';
import { KnownTransaction, type Transaction } from './transaction.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** Which of the transaction's auxiliary connections it is, 0…65,535: the same when the transaction is run again. */
  readonly step?: number;
  /** To connect, milliseconds. */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 5000;

/**
 * Without a kit it is a plain connection.
 * @throws Error of the socket's; its `syscall` is `connect`
 */
export async function connectFor(
  kit: Kit | undefined,
  transaction: Transaction,
  { host, port, step = 0, deadlineMs = DEADLINE_MS }: Target,
): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect', { signal: AbortSignal.timeout(deadlineMs) }).catch(error => {
    socket.destroy();
    throw (error as Error).name === 'AbortError' || (error as Error).name === 'TimeoutError'
      ? Object.assign(new Error(`no connection to ${host}:${port} within ${deadlineMs} ms`), {
          code: 'ETIMEDOUT',
          syscall: 'connect',
        })
      : error;
  });
  if (kit !== undefined) socket.write(headerOf(kit, transaction, step));
  return socket;
}

function headerOf(kit: Kit, transaction: Transaction, step: number): Buffer {
  const { config, epoch } = kit;
  const backend = config.members.findIndex(({ name }) => name === config.self) + 1;
  const connection = transaction instanceof KnownTransaction ? transaction.connection : undefined;
  return encodeProxyHeader({
    route:
      connection === undefined
        ? undefined
        : {
            client: { address: connection.client, port: connection.clientPort },
            server: { address: connection.vip, port: connection.vipPort },
          },
    transaction: transaction.id,
    caller: { backend, epoch, attempt: transaction.attempt, step },
  });
}
