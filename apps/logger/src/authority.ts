import {
  type ConnectionId,
  type ControlRecord,
  connectionKey,
  type Entry,
  type Knowledge,
} from '@resplice/protocol';
import type { Backends } from '@resplice/splice';
import type { Datapath } from './datapath.ts';

/**
 * The logger's word on splices (ARCHITECTURE §2): whichever proxy's bytes were the first to pass have bound the connection, and what
 * any other sends goes to the same back end. So a tier of proxies that has lost all of its entries finds them here.
 */
export class Authority {
  readonly #datapath: Pick<Datapath, 'flows' | 'tracks'>;
  readonly #backends: Pick<Backends, 'all'>;
  readonly #self: number;

  /** @param self the logger's id: whoever has an entry of its maker's takes the newer one */
  constructor(datapath: Pick<Datapath, 'flows' | 'tracks'>, backends: Pick<Backends, 'all'>, self: number) {
    this.#datapath = datapath;
    this.#backends = backends;
    this.#self = self;
  }

  /** @returns undefined: no question about a connection */
  answer(record: ControlRecord): Knowledge | undefined {
    if (record.type !== 'ask') return undefined;
    const entry = this.#find(record.connection);
    if (!entry || (record.claim && entry.isn !== record.connection.isn)) return { kind: 'none' };
    return { kind: 'entry', entry };
  }

  #find({ client, vip, clientPort, vipPort }: ConnectionId): Entry | undefined {
    const { flows, tracks } = this.#datapath;
    const flow = flows.get({ client, clientPort, peer: vip, peerPort: vipPort });
    // Idle connections that no back end holds keep the address of the last one: what is sent there is held here.
    if (!flow || !tracks.isBound(flow.slot)) return undefined;
    const track = tracks.read(flow.slot);
    const { isn, p0, delta } = track;
    const id = { client, vip, clientPort, vipPort, isn };
    const holder = this.#backends.all.find(
      ({ address, port }) => address === track.backend && port === track.backendPort,
    );
    if (!holder || connectionKey(track) !== connectionKey(id)) return undefined;
    return { ...id, p0, delta, backend: holder.id, owner: this.#self, createdMs: Date.now() };
  }
}
