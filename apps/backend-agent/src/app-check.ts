// Whether the application accepts connections, by connecting to it.

import { connect, type Socket } from 'node:net';

/** Pause between two attempts while it does not accept, and while it does, in ms. */
const PAUSE_DOWN_MS = 100;
const PAUSE_UP_MS = 250;
/** An attempt that hangs for this long means that it does not accept, unless a later one came through. */
const HANG_MS = 1000;

export interface AppCheckOptions {
  /** One of this host's own: such packets stay on its loopback device and never meet the translation. */
  address: string;
  port: number;
  /** Called on every change, and with the first result. */
  onChange(accepting: boolean): void;
}

export class AppCheck {
  readonly #options: AppCheckOptions;
  readonly #attempts = new Set<Socket>();
  #accepting: boolean | undefined;
  #lastAccepted = Number.NEGATIVE_INFINITY;
  #pause: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: AppCheckOptions) {
    this.#options = options;
    this.#begin();
  }

  /** By the newest attempt that has ended; false before the first has. */
  get accepting(): boolean {
    return this.#accepting ?? false;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#pause);
    for (const socket of this.#attempts) socket.destroy();
  }

  /**
   * Begins an attempt, and after a pause the next, whether this one has ended or not: in a burst of connections the listen
   * queue overflows and a single SYN is lost for a second, while the application is well.
   */
  #begin(): void {
    this.#attempt();
    this.#pause = setTimeout(() => this.#begin(), this.#accepting ? PAUSE_UP_MS : PAUSE_DOWN_MS);
  }

  #attempt(): void {
    const begun = performance.now();
    const socket = connect({ host: this.#options.address, port: this.#options.port, timeout: HANG_MS });
    this.#attempts.add(socket);
    const end = (accepting: boolean) => {
      socket.removeAllListeners();
      // Whatever comes after the verdict, such as a reset, is of no interest.
      socket.on('error', () => {});
      socket.destroy();
      this.#attempts.delete(socket);
      if (!this.#closed) this.#conclude(accepting);
    };
    socket.once('connect', () => {
      this.#lastAccepted = performance.now();
      end(true);
    });
    socket.once('timeout', () => end(this.#lastAccepted > begun));
    socket.once('error', () => end(false));
  }

  #conclude(accepting: boolean): void {
    if (accepting === this.#accepting) return;
    this.#accepting = accepting;
    this.#options.onChange(accepting);
  }
}
