import type { Entry } from '@resplice/protocol';
import type { Backends, ClientBytes, Wire } from '@resplice/splice';
import type { Replication } from './replication.ts';
import type { SpliceTable } from './splice-table.ts';
import type { Tally } from './tally.ts';

/** Sends clients' bytes on by user space: what was held back during a set-up, and what the kernel half was in doubt about. */
export class Relay {
  readonly #wire: Wire;
  readonly #backends: Backends;
  readonly #table: SpliceTable;
  readonly #replication: Replication;
  readonly #tally: Tally;

  constructor(deps: {
    wire: Wire;
    backends: Backends;
    table: SpliceTable;
    replication: Replication;
    tally: Tally;
  }) {
    this.#wire = deps.wire;
    this.#backends = deps.backends;
    this.#table = deps.table;
    this.#replication = deps.replication;
    this.#tally = deps.tally;
  }

  forward(entry: Entry, bytes: ClientBytes): void {
    const backend = this.#backends.byId(entry.backend);
    if (!backend) {
      this.#tally.neverUnknownBackend++;
      return;
    }
    this.#wire.deliver(backend, entry, bytes);
  }

  /** A client has closed its half. */
  closed(...args: Parameters<SpliceTable['closed']>): void {
    const connection = this.#table.closed(...args);
    if (connection) this.#replication.mention({ type: 'closing', connection });
  }
}
