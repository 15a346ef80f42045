import { TcpFlags } from '@resplice/dataplane';
import type { Backends, Wire } from '@resplice/splice';
import type { Datapath } from './datapath.ts';
import { ClientMode, type LogEvent, LogType } from './layout.generated.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';

export interface StrangersDeps {
  datapath: Pick<Datapath, 'tracks'>;
  backends: Pick<Backends, 'all'>;
  wire: Pick<Wire, 'deliver' | 'reset'>;
  speaker: Pick<Speaker, 'reset'>;
  tally: Pick<LoggerTally, 'strays'>;
}

/** Packets of connections that user space does not know. */
export class Strangers {
  readonly #deps: StrangersDeps;

  constructor(deps: StrangersDeps) {
    this.#deps = deps;
  }

  /**
   * Ends a connection that nobody knows and that may not pass. Only its back end knows the numbers that its client believes: it is
   * reset, and asked once more, so it answers with a reset of its own.
   */
  end({ backend: address, client, clientPort, sequence, acknowledgement }: LogEvent): void {
    const { backends, tally, wire } = this.#deps;
    const backend = backends.all.find(each => each.address === address);
    if (!backend) return;
    tally.strays++;
    const id = { client, clientPort, vip: 0, vipPort: 0, isn: 0, delta: 0 };
    wire.reset(backend, id, sequence);
    wire.deliver(backend, id, {
      ...{ sequence, acknowledgement, window: 0, fin: false },
      payload: new Uint8Array(0),
    });
  }

  /** Of a connection that the kernel half has a slot for: it passes, unprotected, unless each of its requests is to be judged. */
  letPass(event: LogEvent): void {
    const { datapath, speaker } = this.#deps;
    const { tracks } = datapath;
    if (event.type === LogType.LOG_ENDED || tracks.generation(event.slot) !== event.generation) return;
    const track = tracks.read(event.slot);
    if (track.guarded !== 0) {
      speaker.reset(track, track.clientAck);
      return;
    }
    tracks.setClientMode(event.slot, ClientMode.CLIENT_UNLOGGED);
    tracks.letEnd(event.slot, true);
    tracks.skipUntil(event.slot, (event.sequence + (1 << 30)) >>> 0);
    if (event.flags & TcpFlags.RST && event.type === LogType.LOG_SERVER) speaker.reset(track, event.sequence);
  }
}
