import { TcpFlags } from '@resplice/dataplane';
import type { Backends, Wire } from '@resplice/splice';
import { type Conversation, UNPROTECTED, UPGRADED } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import type { Drains } from './drains.ts';
import type { Endings } from './endings.ts';
import type { LogEvent } from './layout.generated.ts';
import type { Moves } from './moves.ts';
import type { SlowHeads } from './slow-heads.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';

export interface IntakeDeps {
  datapath: Pick<Datapath, 'tracks'>;
  backends: Pick<Backends, 'all'>;
  wire: Pick<Wire, 'deliver'>;
  speaker: Pick<Speaker, 'say'>;
  tally: LoggerTally;
  timeline: Timeline;
  moves: Moves;
  drains: Drains;
  endings: Endings;
  slowHeads: SlowHeads;
}

/** What the kernel half tells of a connection's two directions: read, and handed to whom it concerns. */
export class Intake {
  readonly #deps: IntakeDeps;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  fromClient(
    conversation: Conversation,
    event: LogEvent,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { backends, moves, drains, endings, slowHeads, tally } = this.#deps;
    const { guard } = conversation;
    const held = event.held !== 0;
    if ((!held || guard?.isFresh) && conversation.backend?.address !== event.backend)
      conversation.bindTo(backends.all.find(each => each.address === event.backend));
    if (guard) guard.isFresh = false;
    if (conversation.isExpendable && conversation.backend) conversation.giveUp(UNPROTECTED);
    const at = conversation.clientOffset(event.sequence);
    if (held && guard?.contradicts(at, bytes, start, end)) {
      tally.overlapsDiffer++;
      conversation.giveUp('its client has sent two requests with the same numbers');
      moves.abandon(conversation);
      return;
    }
    const before = conversation.incoming.end;
    const move = moves.get(conversation);
    // Held before a move ended, and told after.
    const isGuarded = guard !== undefined && conversation.unprotected !== UPGRADED;
    const isLate = held && !move && conversation.backend !== undefined && !isGuarded;
    if (end > start) {
      conversation.clientBytes(at, bytes, start, end, !held || isLate);
      slowHeads.note(conversation);
    }
    if (isLate) this.#deliver(conversation, event, bytes.subarray(start, end));
    if (conversation.unprotected !== undefined) {
      // Nobody has what was held, and nobody can be given it.
      if (held && !isLate) moves.abandon(conversation);
      else if (guard) endings.follow(conversation);
      else endings.letGo(conversation);
    }
    if (event.flags & TcpFlags.RST) {
      // Only the number that the server waits for ends it (RFC 5961 §3.2); anything else it judges itself.
      if (at === conversation.incoming.end || at === conversation.delivered) endings.end(conversation);
      return;
    }
    if (event.flags & TcpFlags.FIN) conversation.finAt = at + event.payload;
    const { finAt } = conversation;
    if (finAt === conversation.incoming.end) conversation.clientEnd = finAt;
    drains.look(conversation);
    if (move) move.clientBytes();
    else if (guard?.isFlooded) {
      conversation.giveUp('its client sends more than was granted');
      moves.abandon(conversation);
    } else if (guard && conversation.unprotected === undefined) {
      if (end > start && at + (end - start) <= conversation.told) guard.repeat();
      if (end > start && at > conversation.incoming.end) guard.gap(at);
      guard.look();
    } else if (held && !conversation.backend) {
      if (conversation.incoming.end > before || conversation.clientEnd !== undefined)
        moves.begin(conversation, 'wakes up');
      else this.#answer(conversation);
    } else if (conversation.clientEnd !== undefined && conversation.ended) endings.end(conversation);
    // Of what nobody follows the last that is told is the client's FIN; the server's passes without a word.
    else if (event.flags & TcpFlags.FIN && conversation.unprotected !== undefined) endings.end(conversation);
  }

  fromServer(
    conversation: Conversation,
    event: LogEvent,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { timeline, moves, endings } = this.#deps;
    const hasTime = moves.hasTime(conversation);
    // What a dead one says, or has said last, is no reason for haste.
    const move = hasTime ? undefined : moves.get(conversation);
    if (event.held) {
      move?.serverBytes(event, bytes, start, end);
      endings.follow(conversation);
      return;
    }
    const at = conversation.serverOffset(event.sequence);
    timeline.serverBytes(conversation, at + event.payload, Number(event.timeNs) / 1e6);
    if (end > start) conversation.serverBytes(at, bytes, start, end);
    else conversation.catchUp();
    endings.follow(conversation);
    if (move) {
      if (event.flags & TcpFlags.RST) {
        timeline.note(conversation, `suspected: ${move.backend?.name} ended it`);
        move.alternateEnded();
      } else move.progressed(event);
      return;
    }
    if (hasTime) return;
    conversation.guard?.heard(event);
    if (moves.has(conversation)) return;
    if (event.flags & TcpFlags.RST) endings.serverReset(conversation, event);
    else if (event.flags & TcpFlags.FIN && conversation.outgoing.end >= at + event.payload)
      endings.serverEnded(conversation);
  }

  #deliver(conversation: Conversation, event: LogEvent, payload: Uint8Array): void {
    const { wire, datapath } = this.#deps;
    const { backend, id, slot } = conversation;
    const { sequence, acknowledgement, window, flags } = event;
    if (!backend) return;
    wire.deliver(
      backend,
      { ...id, delta: datapath.tracks.delta(slot) },
      { sequence, acknowledgement, window, payload, fin: (flags & TcpFlags.FIN) !== 0 },
    );
  }

  /** A client asks whether anybody is there: yes, though no back end needs to know. */
  #answer(conversation: Conversation): void {
    const { speaker, datapath } = this.#deps;
    speaker.say(conversation.id, {
      seq: datapath.tracks.serverNext(conversation.slot),
      ack: conversation.clientSequence(conversation.incoming.end),
      window: 512,
      mss: conversation.offer.mss,
    });
  }
}
