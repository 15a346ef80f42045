import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { KitConnection } from '@resplice/kit-channel';

export interface FakeIdentity {
  readonly connection: KitConnection;
  readonly start?: number;
  readonly moved?: boolean;
  readonly sinceNs?: bigint;
}

/** An agent's identity service that knows the connections it is told of, by the port they really come from. */
export class FakeAgent {
  readonly known = new Map<number, FakeIdentity>();
  questions = 0;
  /** Hears, and says nothing. */
  isSilent = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer(socket => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      let text = '';
      socket.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        const lines = text.split('\n');
        text = lines.pop()!;
        for (const line of lines) {
          const answer = this.#answer(JSON.parse(line));
          if (!this.isSilent) socket.write(`${JSON.stringify(answer)}\n`);
        }
      });
    });
  }

  static async start(): Promise<FakeAgent> {
    const agent = new FakeAgent();
    agent.#server.listen(0, '127.0.0.1');
    await once(agent.#server, 'listening');
    return agent;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #answer({ clientPort }: { clientPort: number }): object {
    this.questions++;
    const identity = this.known.get(clientPort);
    if (identity === undefined) return { error: 'unknown' };
    const { connection, start = 0, moved = false, sinceNs = 0n } = identity;
    const { vip, vipPort, originalIsn, p0 } = connection;
    return { vip, vipPort, originalIsn, p0, start, moved, sinceNs: String(sinceNs) };
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
