/** One request on a connection of its own, as clients of the paper's time made them. */
import { Agent, request as startRequest } from 'node:http';
import type { Socket } from 'node:net';
import { Trouble } from './visitor.ts';

export interface Ask {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Nothing moves for so long: given up, ms. */
  readonly patienceMs: number;
  /** The connection is there. @param local `address:port` of this end */
  readonly connected?: (local: string) => void;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

function localOf(socket: Socket): string {
  return `${socket.localAddress}:${socket.localPort}`;
}

/**
 * @throws Trouble when the connection breaks, the answer does not come whole, or nothing moves
 */
export function exchange(url: URL, { method, headers, body, patienceMs, connected }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = startRequest(url, {
      method,
      headers: { ...headers, ...(body ? { 'content-length': String(body.length) } : {}) },
      agent: new Agent({ keepAlive: false }),
    });
    let settled = false;
    const fail = (trouble: Trouble): void => {
      if (settled) return;
      settled = true;
      clearTimeout(silence);
      asked.destroy();
      reject(trouble);
    };
    const silent = (): void =>
      fail(
        new Trouble('silence', `${method} ${url.pathname}: nothing for ${(patienceMs / 1000).toFixed(1)} s`),
      );
    let silence = setTimeout(silent, patienceMs);
    const moved = (): void => {
      clearTimeout(silence);
      if (!settled) silence = setTimeout(silent, patienceMs);
    };
    const broken = (error: Error): void =>
      fail(
        new Trouble(
          'error',
          `${method} ${url.pathname}: ${(error as { code?: string }).code ?? error.message}`,
        ),
      );
    asked.once('socket', socket => {
      socket.once('connect', () => {
        moved();
        connected?.(localOf(socket));
      });
    });
    asked.once('error', broken);
    asked.once('response', response => {
      moved();
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => {
        moved();
        parts.push(part);
      });
      response.once('error', broken);
      response.once('end', () => {
        if (settled) return;
        if (!response.complete) {
          broken(new Error('truncated'));
          return;
        }
        settled = true;
        clearTimeout(silence);
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) });
      });
    });
    asked.end(body);
  });
}
