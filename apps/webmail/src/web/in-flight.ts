// Requests that are being answered: a server that is told to end finishes them first. Cut short they would fail, and one that
// is journalled would be run again elsewhere for nothing.

import type { Server } from 'node:http';

export class InFlight {
  readonly #server: Server;
  #count = 0;
  #ended: (() => void) | undefined;

  constructor(server: Server) {
    this.#server = server;
    server.on('request', (_request, response) => {
      this.#count++;
      response.once('close', () => {
        this.#count--;
        if (this.#count === 0) this.#ended?.();
      });
    });
  }

  /** Takes no more connections, and waits for the answers that are due, but no longer than that. */
  async end(patienceMs: number): Promise<void> {
    // Ends those connections, too, on which nothing is asked.
    this.#server.close();
    if (this.#count === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    const timer = setTimeout(resolve, patienceMs);
    await promise;
    clearTimeout(timer);
  }
}
