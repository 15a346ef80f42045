// Every back end has every session (P1.3, P8.2): versions say which of two is newer, and a session that was destroyed is never
// brought back by a late write.

import type { SessionChange } from '@resplice/kit-channel';

/** Live ones and destroyed ones; beyond, those go that were changed longest ago. */
const MAX_SESSIONS = 200_000;

export class Sessions {
  /** Changed longest ago first. */
  readonly #all = new Map<string, SessionChange>();
  #destroyed = 0;

  get(id: string): SessionChange | undefined {
    return this.#all.get(id);
  }

  values(): IterableIterator<SessionChange> {
    return this.#all.values();
  }

  /** Takes a change over unless what is here is newer. */
  apply(change: SessionChange): boolean {
    const known = this.#all.get(change.id);
    if (known !== undefined && !isNewer(change, known)) return false;
    if (known !== undefined) this.#delete(known);
    this.#all.set(change.id, change);
    if (change.data === null) this.#destroyed++;
    if (this.#all.size > MAX_SESSIONS) this.#delete(this.#all.values().next().value!);
    return true;
  }

  /** @param now epoch milliseconds */
  sweep(now: number): void {
    for (const change of this.#all.values()) if (change.until <= now) this.#delete(change);
  }

  get counts(): { live: number; destroyed: number } {
    return { live: this.#all.size - this.#destroyed, destroyed: this.#destroyed };
  }

  #delete(change: SessionChange): void {
    this.#all.delete(change.id);
    if (change.data === null) this.#destroyed--;
  }
}

function isNewer(change: SessionChange, known: SessionChange): boolean {
  if ((change.data === null) !== (known.data === null)) return change.data === null;
  if (change.version !== known.version) return change.version > known.version;
  return change.origin > known.origin;
}
