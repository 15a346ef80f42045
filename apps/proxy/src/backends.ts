import { parseIp } from '@resplice/dataplane';
import type { BackendConfig } from './config.ts';

export interface Backend {
  readonly name: string;
  readonly id: number;
  /** Host order. */
  readonly address: number;
  readonly port: number;
  /** Its agent answers and its application accepts. */
  up: boolean;
  /** Open connections that this proxy knows of, its peers' included. */
  active: number;
}

/** The pool that a request may go to (P4.2). */
export class Backends {
  readonly all: readonly Backend[];
  readonly #byId = new Map<number, Backend>();
  #turn = 0;

  constructor(configs: readonly BackendConfig[]) {
    this.all = configs.map(({ name, id, address, port }) => ({
      name,
      id,
      address: parseIp(address),
      port,
      up: false,
      active: 0,
    }));
    for (const backend of this.all) this.#byId.set(backend.id, backend);
  }

  byId(id: number): Backend | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): Backend | undefined {
    return this.all.find(backend => backend.name === name);
  }

  /**
   * Least connections among those that are not `tried`; equals take turns. Those that are up come first, but an agent that is silent
   * is not a dead application: before the client is refused, the others are tried too. Undefined: nobody is left.
   */
  choose(tried: ReadonlySet<Backend> = new Set()): Backend | undefined {
    this.#turn = (this.#turn + 1) % this.all.length;
    let best: Backend | undefined;
    const better = (a: Backend, b: Backend) => (a.up === b.up ? a.active < b.active : a.up);
    for (let i = 0; i < this.all.length; i++) {
      const backend = this.all[(this.#turn + i) % this.all.length]!;
      if (!tried.has(backend) && (!best || better(backend, best))) best = backend;
    }
    return best;
  }
}
