/** One action from its first request to the last object of its last page, by whichever visitor. */
import { now } from './clock.ts';
import { type Account, type Carried, type Letter, type Manners, Person } from './person.ts';
import type { Action } from './reference.ts';
import type { Request } from './run.ts';
import { Trouble, type Visitor } from './visitor.ts';

const PREPARATIONS = 3;

export interface Part {
  readonly action: Action;
  readonly manners: Manners;
  readonly account: Account;
  readonly letter: Letter;
}

/** Times are the drill's clock's. */
export interface Acted extends Carried {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly requests: readonly Request[];
  readonly wrongAnswers: number;
}

/** Before the action nothing is measured, and nothing is broken: a page that does not come is asked for again. */
async function prepare(visitor: Visitor): Promise<void> {
  for (let left = PREPARATIONS - 1; ; left--) {
    try {
      return await visitor.prepare('/login');
    } catch (error) {
      if (!(error instanceof Trouble) || left === 0) throw error;
    }
  }
}

/** Closes the visitor afterwards. @throws Trouble when the preparation fails, which no fault has met */
export async function act(visitor: Visitor, { action, ...given }: Part): Promise<Acted> {
  try {
    if (action === 'action2') await prepare(visitor);
    const startedAt = now();
    const carried = await new Person(visitor, given).carryOut(action);
    const endedAt = now();
    // Before anybody looks at the bytes again.
    const requests = [...visitor.requests()];
    const wrongAnswers = carried.gaveUp === null ? await visitor.wrongAnswers() : 0;
    return { ...carried, startedAt, endedAt, requests, wrongAnswers };
  } finally {
    await visitor.close();
  }
}
