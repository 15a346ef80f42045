// All mail dialogues with one SMTP server.

import type { Arrival } from '../gate.ts';
import type { AuxiliaryRelay, ServiceOptions } from '../service.ts';
import { Dialogue } from './dialogue.ts';
import { Session } from './session.ts';

/** A dialogue and who speaks in it, one after the other. */
interface Seat {
  readonly dialogue: Promise<Dialogue>;
  /** Connections that speak or wait for their turn; the last one is the one to stay. */
  readonly sessions: Session[];
  /** The last one's end. */
  over: Promise<void>;
  timer: NodeJS.Timeout | undefined;
}

export class SmtpRelay implements AuxiliaryRelay {
  readonly #options: ServiceOptions;
  readonly #seats = new Map<string, Seat>();
  readonly #introductions = new Map<number, string>();

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Dialogues that are known in memory: spoken in, or kept for a successor. */
  get size(): number {
    return this.#seats.size;
  }

  receive(arrival: Arrival): void {
    this.#serve(arrival).catch(error => this.#options.fail(error as Error));
  }

  close(): void {
    for (const [name, seat] of this.#seats) this.#leave(name, seat);
  }

  async #serve(arrival: Arrival): Promise<void> {
    const { claims, limits, tally } = this.#options;
    const session = new Session(arrival, limits, tally);
    if (!claims.admit(session)) return;
    const name = `${arrival.transaction} ${arrival.caller.step}`;
    const seat = this.#seat(name, arrival);
    const rival = seat.sessions.find(each => each.backend !== session.backend);
    try {
      if (rival !== undefined && rival.caller.attempt === session.caller.attempt) {
        tally.refusedAttempts++;
        claims.end(session, 'another back end makes this attempt');
        return;
      }
      await this.#speak(name, seat, session);
    } finally {
      claims.leave(session);
    }
  }

  async #speak(name: string, seat: Seat, session: Session): Promise<void> {
    clearTimeout(seat.timer);
    // Whoever comes last stays: a back end that connects again has given its earlier connection up.
    for (const earlier of seat.sessions) earlier.cut();
    seat.sessions.push(session);
    const before = seat.over;
    const mine = (async () => {
      await before;
      const dialogue = await seat.dialogue;
      if (dialogue.isUnfinished) this.#options.tally.resumed++;
      await session.run(dialogue);
      return dialogue;
    })();
    seat.over = mine.then(
      () => {},
      () => {},
    );
    try {
      const dialogue = await mine;
      seat.sessions.splice(seat.sessions.indexOf(session), 1);
      if (seat.sessions.length > 0) return;
      if (session.hasQuit || !dialogue.isUnfinished) this.#leave(name, seat);
      else {
        seat.timer = setTimeout(() => this.#leave(name, seat), this.#options.limits.lingerMs);
        seat.timer.unref();
      }
    } catch (error) {
      seat.sessions.splice(seat.sessions.indexOf(session), 1);
      this.#leave(name, seat);
      throw error;
    }
  }

  #seat(name: string, { transaction, caller }: Arrival): Seat {
    const known = this.#seats.get(name);
    if (known !== undefined) return known;
    const { service, outcomes, tally, limits } = this.#options;
    const dialogue = Dialogue.restored({
      key: { service: service.name, transaction, step: caller.step },
      upstream: { ...service.upstream, patienceMs: limits.upstreamMs },
      outcomes,
      tally,
      introductions: this.#introductions,
    });
    const seat: Seat = { dialogue, sessions: [], over: Promise.resolve(), timer: undefined };
    this.#seats.set(name, seat);
    return seat;
  }

  /** Only what is on the disk is known from here on. */
  #leave(name: string, seat: Seat): void {
    clearTimeout(seat.timer);
    if (this.#seats.get(name) === seat) this.#seats.delete(name);
    seat.dialogue.then(
      dialogue => dialogue.close(),
      () => {},
    );
  }
}
