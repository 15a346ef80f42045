import { alternateOf } from '@resplice/kit-channel';
import type { Backend, Backends } from '@resplice/splice';
import { type Allowed, pick } from './rules.ts';

/** Who takes a connection over (P7.2). */
export class Alternates {
  readonly #backends: Backends;
  readonly #stations = new Map<number, readonly number[]>();

  constructor(backends: Backends) {
    this.#backends = backends;
  }

  /**
   * The next one in the configuration's order that is up: the same for every connection of a back end, so that what it has told its
   * alternate is where its connections go. Without a former one, the one with the fewest connections.
   *
   * @param tried those that have refused, or did not answer
   * @param allowed who may have it; anybody if absent. A former one that is not among them does not count
   */
  choose(
    former: Backend | undefined,
    tried: ReadonlySet<Backend>,
    allowed?: Pick<Allowed, 'members' | 'session'>,
  ): Backend | undefined {
    const { all } = this.#backends;
    const fit = (backend: Backend) =>
      backend.up && !tried.has(backend) && (allowed?.members.has(backend) ?? true);
    if (!former || !(allowed?.members.has(former) ?? true)) return pick(all.filter(fit), allowed?.session);
    // The former one itself comes last: its application may be back, or only this connection may have failed.
    return alternateOf(all, former, fit) ?? (fit(former) ? former : undefined);
  }

  /** @param station the link-layer address that a back end sends from */
  learnStation(backend: Backend, station: readonly number[]): void {
    this.#stations.set(backend.id, station);
  }

  /** @throws Error if it has never sent anything */
  stationOf(backend: Backend): readonly number[] {
    const station = this.#stations.get(backend.id);
    if (!station) throw new Error(`${backend.name} has never been heard`);
    return station;
  }
}
