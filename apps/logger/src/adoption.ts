import type { ClientOffer } from '@resplice/protocol';
import { type Conversation, UNPROTECTED } from './conversation.ts';
import type { Datapath, EventSink } from './datapath.ts';
import { ClientMode, LogType, ServerMode, type Track, TrackTrait } from './layout.generated.ts';
import { firstsOf, NOT_KEPT, type Resumption, resumptionOf } from './resumption.ts';

/** What is done with connections that are found. */
export interface Adopter {
  add(slot: number, track: Track, offer: ClientOffer): Conversation;
  /** @param backend address of the one that holds it */
  bind(conversation: Conversation, backend: number): void;
  /** Whether its listener is not protected. */
  isExpendable(track: Track): boolean;
  /** Nobody can follow it: it passes. */
  letGo(conversation: Conversation): void;
  /** Both sides have said that nothing follows: its last packets pass. */
  end(conversation: Conversation): void;
  /** Nobody can follow it, and nobody holds it. */
  reset(conversation: Conversation): void;
  move(conversation: Conversation, why: string): void;
  receive: EventSink;
}

const LOST = 'part of a request was nowhere but in the daemon before this one';

/** Whether bytes of a guarded connection are lost that a former daemon has acknowledged, or has not given to the back end yet. */
function lacks(track: Track, { kind, requestEnd }: Resumption): boolean {
  const isGiven = kind === 'idle' || ((requestEnd - track.serverAcked) | 0) <= 0;
  return !isGiven || ((track.told - requestEnd) | 0) > 0;
}

/** Whether the client has closed, and what the back end says of the end is let through. */
function isOver({ clientEnded, endPasses }: Track): boolean {
  return clientEnded !== 0 && endPasses !== 0;
}

/**
 * Goes on with the connections of a former daemon, as far as the kernel half's table and its ring tell what they were at.
 *
 * @returns how many are protected on, and how many are not
 */
export function adopt(datapath: Datapath, adopter: Adopter): { adopted: number; abandoned: number } {
  const tracks = [...datapath.usedSlots()].map(slot => ({ slot, track: datapath.tracks.read(slot) }));
  // After the table: what comes meanwhile waits as well.
  const waiting = datapath.takeWaiting();
  const firsts = firstsOf(waiting.map(each => each.event));
  /** What was held of these nobody has. */
  const held = new Set<number>();
  const counts = { adopted: 0, abandoned: 0 };
  for (const { slot, track } of tracks) {
    const first = firsts.get(slot);
    // Its opening waits: it is as new.
    if (track.generation === 0 || first?.isOpening) continue;
    const { mss, traits } = track;
    const windowScale = traits >> TrackTrait.TRAITS;
    const sackPermitted = (traits & TrackTrait.TRAIT_SACK) !== 0;
    const conversation = adopter.add(slot, track, { mss, windowScale, sackPermitted });
    // It was moving, or had nobody: nothing passes. One that was about to leave its back end stays there.
    const isHeld =
      track.clientMode === ClientMode.CLIENT_HELD &&
      (track.serverMode !== ServerMode.SERVER_PASSES || track.mac.every(byte => byte === 0));
    const isGuarded = conversation.guard !== undefined;
    if (isHeld || isGuarded) held.add(slot);
    if (!isHeld && track.bound !== 0) adopter.bind(conversation, track.backend);
    if (track.clientMode === ClientMode.CLIENT_UNLOGGED && adopter.isExpendable(track)) {
      conversation.passBy(track.clientLogged, track.serverNext, UNPROTECTED);
      if (isOver(track)) adopter.end(conversation);
      else adopter.letGo(conversation);
      continue;
    }
    const found = resumptionOf(track, first ?? {});
    const resumption = typeof found !== 'string' && isGuarded && lacks(track, found) ? LOST : found;
    if (typeof resumption === 'string') {
      conversation.passBy(track.clientLogged, track.serverNext, resumption);
      if (!isHeld && isOver(track)) {
        adopter.end(conversation);
        continue;
      }
      counts.abandoned++;
      if (isHeld || isGuarded) adopter.reset(conversation);
      else adopter.letGo(conversation);
      continue;
    }
    counts.adopted++;
    conversation.resume(resumption, NOT_KEPT);
    if (conversation.guard) conversation.guard.isFresh = !isHeld && track.bound === 0;
    if (!isHeld) {
      datapath.tracks.setClientMode(slot, ClientMode.CLIENT_PASSES);
      continue;
    }
    datapath.tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    datapath.tracks.unbind(slot);
    if (resumption.kind !== 'idle') adopter.move(conversation, 'found by a new daemon');
  }
  for (const { event, bytes } of waiting) {
    // What was held for one that stays passes when its client sends it again.
    const isHeld = event.type !== LogType.LOG_CLIENT || held.has(event.slot) ? event.held : 0;
    adopter.receive({ ...event, held: isHeld }, bytes, 0, bytes.length);
  }
  return counts;
}
