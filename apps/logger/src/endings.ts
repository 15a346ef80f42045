import type { Log } from '@resplice/service-kit';
import type { Backend } from '@resplice/splice';
import { type Conversation, UNPROTECTED, UPGRADED } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ClientMode, type LogEvent } from './layout.generated.ts';
import type { Moves } from './moves.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import { viewOf } from './view.ts';
import { monotonicMs } from './watchman.ts';

/** A client's last packets may still come for so long after those before them, ms. */
const LINGER_MS = 5000;

export interface EndingsDeps {
  datapath: Pick<Datapath, 'tracks'>;
  speaker: Pick<Speaker, 'say' | 'reset'>;
  tally: LoggerTally;
  moves: Moves;
  /** Whether the application of a back end answers. */
  ask(backend: Backend): Promise<boolean>;
  /** Nothing of it is to be expected any more. */
  onOver(conversation: Conversation): void;
  log: Log;
}

/** What ends a connection, or its protection: its server's FIN and RST, streams that nobody can follow. */
export class Endings {
  readonly #deps: EndingsDeps;
  /** Over, and when that was, or when a packet of the client's has been seen since: CLOCK_MONOTONIC, ms, oldest first. */
  readonly #over = new Map<Conversation, number>();
  readonly #confirming = new Set<Conversation>();

  constructor(deps: EndingsDeps) {
    this.#deps = deps;
  }

  isOver(conversation: Conversation): boolean {
    return this.#over.has(conversation);
  }

  /** Those of which nothing more is to come. */
  *expired(): Generator<Conversation> {
    const { tracks } = this.#deps.datapath;
    const before = monotonicMs() - LINGER_MS;
    for (const [conversation, sinceMs] of this.#over) {
      if (sinceMs > before) return;
      const lastMs = tracks.clientMs(conversation.slot);
      if (lastMs <= before) yield conversation;
      else {
        // A client that has closed may be sent much yet: its flow must be known as long as it acknowledges that.
        this.#over.delete(conversation);
        this.#over.set(conversation, lastMs);
      }
    }
  }

  /** It is over. */
  end(conversation: Conversation): void {
    this.#deps.onOver(conversation);
    if (!this.#over.has(conversation)) this.#over.set(conversation, monotonicMs());
  }

  /** It has left the table. */
  forget(conversation: Conversation): void {
    this.#over.delete(conversation);
  }

  /** Lets a connection go that cannot be followed any more. */
  follow(conversation: Conversation): void {
    if (conversation.unprotected === undefined) return;
    const { moves } = this.#deps;
    // The rest of a request that is being given to an alternate is known no more.
    const { guard, unprotected, requests, delivered } = conversation;
    const mayPass = !guard || (unprotected === UPGRADED && requests.end <= delivered);
    if (moves.get(conversation)?.isDelivered === false || !mayPass) moves.abandon(conversation);
    else this.letGo(conversation);
  }

  /** Nobody can follow it: what ends it passes as well. */
  letGo(conversation: Conversation): void {
    const { tracks } = this.#deps.datapath;
    if (conversation.ended || this.#over.has(conversation)) return;
    conversation.guard?.rest();
    conversation.ended = true;
    this.#deps.tally.unprotected++;
    // Of what is so by configuration there may be thousands a second.
    const level = conversation.unprotected === UNPROTECTED ? 'debug' : 'info';
    this.#deps.log[level]({ ...viewOf(conversation, false) }, 'connection is not protected from here on');
    tracks.letEnd(conversation.slot, true);
    tracks.setClientMode(conversation.slot, ClientMode.CLIENT_UNLOGGED);
  }

  /** A FIN of the server's: the end, an idle time-out, or the last word of a dying process (ARCHITECTURE §4). */
  serverEnded(conversation: Conversation): void {
    conversation.commit();
    const { open, clientEnd, closes, unprotected } = conversation;
    // Behind a response that was the last one nothing is served, whatever the client has sent meanwhile.
    if (unprotected !== undefined || closes || (!open && clientEnd !== undefined)) this.#letEnd(conversation);
    else if (open?.untilClose && open.bodyAt !== undefined) void this.#confirm(conversation);
    else this.#fail(conversation, 'closed it');
  }

  serverReset(conversation: Conversation, event: LogEvent): void {
    conversation.commit();
    const { open } = conversation;
    if (conversation.unprotected !== undefined || conversation.ended) {
      this.#deps.speaker.reset(conversation.id, event.sequence);
      this.end(conversation);
    } else if (conversation.closes || (!open && conversation.clientEnd !== undefined)) {
      this.#letEnd(conversation);
    } else this.#fail(conversation, 'reset it');
  }

  /** A back end's end of a connection: a failure, unless nothing was due. */
  #fail(conversation: Conversation, what: string): void {
    const { open, backend } = conversation;
    if (open) {
      this.#deps.tally.failedByEnd++;
      conversation.failed();
    }
    const why = `${open ? 'suspected' : 'idle'}: ${backend?.name ?? 'its back end'} ${what}`;
    this.#deps.moves.leave(conversation, why);
  }

  /** A server that lives on after its FIN has meant it. */
  async #confirm(conversation: Conversation): Promise<void> {
    const { backend } = conversation;
    if (this.#confirming.has(conversation) || !backend) return;
    this.#confirming.add(conversation);
    const alive = await this.#deps.ask(backend);
    this.#confirming.delete(conversation);
    const isSettled = this.#over.has(conversation) || this.#deps.moves.has(conversation);
    if (isSettled || conversation.backend !== backend || conversation.ended) return;
    if (alive) this.#letEnd(conversation);
    else this.#fail(conversation, 'closed it, and is gone');
  }

  #letEnd(conversation: Conversation): void {
    const { tally, speaker, datapath } = this.#deps;
    const { slot, id, offer } = conversation;
    conversation.ended = true;
    tally.endsPassed++;
    datapath.tracks.letEnd(slot, true);
    speaker.say(id, {
      seq: conversation.serverSequence(conversation.outgoing.end),
      ack: datapath.tracks.told(slot),
      window: 512,
      mss: offer.mss,
      fin: true,
    });
    if (conversation.clientEnd !== undefined) this.end(conversation);
  }
}
