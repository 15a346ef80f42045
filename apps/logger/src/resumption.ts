import { UNKNOWN_START } from '@resplice/dataplane';
import { DEFAULT_CLASS, DEFAULT_TIMEOUTS, type Treatment } from '@resplice/site-config';
import { ClientMode, type LogEvent, LogType, type Track, TrackTrait } from './layout.generated.ts';

/** Where a daemon that starts over goes on in a connection. Sequence numbers are in client space. */
export interface Resumption {
  /**
   * `idle`: nothing is unfinished. `waiting`: a whole request is, and nothing of its response has come. `answered`: part of the
   * response has come, and it is known where it ends. The request itself went with the former daemon.
   */
  kind: 'idle' | 'waiting' | 'answered';
  requestAt: number;
  /** Of the unfinished request; if there is none, where the next one begins. */
  requestEnd: number;
  responseAt: number;
  /** Behind the last byte of the server's that the former daemon knew of. */
  serverKnown: number;
  /** `answered` only. */
  responseEnd: number;
  /** How many requests of the connection back ends had been given before the one at `requestAt`; `UNKNOWN_START`: nobody knows. */
  number: number;
  method: 'GET' | 'HEAD';
}

/** The first bytes of each direction that wait in the ring, as sequence numbers; undefined: none wait. */
export interface Waiting {
  client?: number;
  server?: number;
}

/** How far `a` lies ahead of `b`; negative: behind. */
const ahead = (a: number, b: number): number => (a - b) | 0;

/** @returns why there is nothing to go on with, if that is so */
export function resumptionOf(track: Track, waiting: Waiting): Resumption | string {
  const { requestAt, requestEnd, responseAt, responseEnd } = track;
  if (track.unattended !== 0) return 'some of it passed while nobody read the log';
  if (track.mss === 0 || track.clientMode === ClientMode.CLIENT_UNLOGGED || track.endPasses !== 0)
    return 'it was not followed by the daemon before this one';
  if (track.clientEnded !== 0 && waiting.client === undefined)
    return 'its client had closed before this daemon began';
  const clientKnown = waiting.client ?? track.clientLogged;
  const serverKnown = waiting.server ?? track.serverNext;
  const from = {
    ...{ requestAt, requestEnd, responseAt, responseEnd, serverKnown },
    method: track.traits & TrackTrait.TRAIT_HEAD ? ('HEAD' as const) : ('GET' as const),
    number: track.given === 0 ? UNKNOWN_START : track.given - 1,
  };
  // What waits may repeat what was known.
  const nothingHeard = ahead(serverKnown, responseAt) <= 0;
  // A held request waits again each time that its client sends it again; meanwhile somebody may have run it.
  const mayHaveRun =
    track.clientMode === ClientMode.CLIENT_HELD &&
    requestEnd !== requestAt &&
    (track.traits & TrackTrait.TRAIT_REPEATABLE) === 0;
  if (nothingHeard && ahead(clientKnown, requestAt) <= 0 && !mayHaveRun)
    return { ...from, kind: 'idle', requestEnd: requestAt };
  if (requestEnd === requestAt || ahead(clientKnown, requestEnd) > 0)
    return 'a request was unfinished when this daemon began';
  // A gap: what lies before it went with the former daemon.
  if (ahead(clientKnown, requestEnd) < 0 && waiting.client === undefined)
    return 'a request was unfinished when this daemon began';
  if (nothingHeard) return { ...from, kind: 'waiting' };
  if (responseEnd === responseAt || ahead(serverKnown, responseEnd) > 0)
    return 'a response was unfinished when this daemon began';
  return { ...from, kind: 'answered' };
}

/** What of each slot waits in the ring, oldest first. */
export function firstsOf(events: readonly LogEvent[]): Map<number, Waiting & { isOpening?: boolean }> {
  const firsts = new Map<number, Waiting & { isOpening?: boolean }>();
  for (const { type, slot, sequence, payload, held } of events) {
    if (type === LogType.LOG_OPENED) firsts.set(slot, { isOpening: true });
    const isClient = type === LogType.LOG_CLIENT;
    // What was diverted has not been forwarded.
    if (payload === 0 || !(isClient || (type === LogType.LOG_SERVER && held === 0))) continue;
    const first = firsts.get(slot) ?? {};
    const direction = isClient ? 'client' : 'server';
    const known = first[direction];
    if (known === undefined || ahead(sequence, known) < 0) first[direction] = sequence;
    firsts.set(slot, first);
  }
  return firsts;
}

/** Of a request that went with a former daemon: nothing may be done with it. */
export const NOT_KEPT: Treatment = {
  kind: 'update',
  deterministic: 'no',
  idempotent: false,
  mask: new Set(['date']),
  timeoutClass: DEFAULT_CLASS,
  timeouts: DEFAULT_TIMEOUTS,
  journal: 'none',
  route: -1,
};
