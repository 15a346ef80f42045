import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way from one back end to another that can be cut, and healed. */
export class Line {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  /** From a port of its own to that one. */
  static async to(address: string, port: number): Promise<Line> {
    const line = new Line(address, port);
    line.#server.listen(0, address);
    await once(line.#server, 'listening');
    return line;
  }

  private constructor(address: string, port: number) {
    this.#server = createServer(near => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect({ host: address, port, noDelay: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
