import { Agent, get } from 'node:http';

/** Between the end of one look and the next, in ms. */
const EVERY_MS = 100;
/** A server that does not answer for so long is frozen, or hopelessly busy, in ms. */
const PATIENCE_MS = 500;

export interface ServerCheckOptions {
  readonly address: string;
  readonly port: number;
  /** Called on every change, and with the first result. */
  onChange(problem: string | undefined): void;
}

/** Whether an HTTP server answers. One kept-alive connection: a new one for each look would litter the host with old sockets. */
export class ServerCheck {
  /** Why it is not well; undefined while it is. */
  problem: string | undefined = 'the server has not been asked yet';
  readonly #options: ServerCheckOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ServerCheckOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#look(), 0);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  #look(): void {
    const { address, port } = this.#options;
    const request = get({ host: address, port, agent: this.#agent, timeout: PATIENCE_MS }, response => {
      response.resume();
      response.once('end', () =>
        this.#found(response.statusCode === 200 ? undefined : `the server answers ${response.statusCode}`),
      );
    });
    request.once('timeout', () => request.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
    request.once('error', error => {
      // It closed the kept-alive connection just then: the next look makes a new one.
      if (request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET') this.#look();
      else this.#found(`the server does not answer: ${error.message}`);
    });
  }

  #found(problem: string | undefined): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#look(), EVERY_MS);
    if (problem === this.problem) return;
    this.problem = problem;
    this.#options.onChange(problem);
  }
}
