// Connections to auxiliary servers, by way of the back-end logger: each says at its beginning which transaction it is for, and
// which attempt at it (P5.2, P8.3).

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
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
/** While the back-end logger refuses, it is asked again after so many ms. */
const AGAIN_MS = 50;

/**
 * Without a kit it is a plain connection. With one the back-end logger is asked again while it refuses: it is starting over, and
 * nothing has been said yet.
 * @throws Error of the socket's; its `syscall` is `connect`
 */
export async function connectFor(
  kit: Kit | undefined,
  transaction: Transaction,
  { host, port, step = 0, deadlineMs = DEADLINE_MS }: Target,
): Promise<Socket> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      const socket = await connected(host, port, deadline);
      if (kit !== undefined) socket.write(headerOf(kit, transaction, step));
      return socket;
    } catch (error) {
      const isRestart = kit !== undefined && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      if (!isRestart || performance.now() + AGAIN_MS > deadline) throw error;
      await pause(AGAIN_MS);
    }
  }
}

/** @param deadline of `performance.now()` */
async function connected(host: string, port: number, deadline: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(leftMs) });
    return socket;
  } catch (error) {
    socket.destroy();
    const { name } = error as Error;
    if (name !== 'AbortError' && name !== 'TimeoutError') throw error;
    const late = new Error(`no connection to ${host}:${port} in time`);
    throw Object.assign(late, { code: 'ETIMEDOUT', syscall: 'connect' });
  }
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
