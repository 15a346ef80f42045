/**
 * Who sits in front of the screen, as the paper describes it: notices that something went wrong, reloads, logs in again if need be,
 * and does what was lost once more. The same person in front of both architectures.
 */
import { parseLink } from '@resplice/topology';
import { now } from './clock.ts';
import type { Action } from './reference.ts';
import type { Noticed } from './run.ts';
import { type Filling, Trouble, type Visitor } from './visitor.ts';

export interface Manners {
  /**
   * From an error on the screen until the reload, ms. The paper does not say it; what its Table 2 adds on LAN and WAN-MIT is half of the
   * action again and about this.
   */
  readonly reactionMs: number;
  /** When nothing moves any more: so long until the reload, ms. */
  readonly patienceMs: number;
  /** Then it is left alone, and the action has failed. */
  readonly mostReloads: number;
}

export const manners: Manners = { reactionMs: 1400, patienceMs: 10_000, mostReloads: 8 };

/** The largest packet, bytes. */
const PACKET = 1514;

/**
 * A browser's connections fill a slow link's queue, be it with what their servers send again too early: nothing new comes before that
 * has passed, and whoever lives behind such a link waits.
 * @param link by name
 * @returns when nothing moves any more: so long until the reload, ms
 */
export function patienceOn(link: string): number {
  const { rateMbit, queuePackets } = parseLink(link);
  const drainMs = rateMbit === null ? 0 : (queuePackets * PACKET * 8) / rateMbit / 1000;
  return Math.max(manners.patienceMs, drainMs);
}

export interface Letter {
  readonly recipients: string;
  readonly subject: string;
  readonly body: string;
}

export interface Account {
  readonly address: string;
  readonly password: string;
}

/** What became of an action. */
export interface Carried {
  /** Null: all was done. */
  readonly gaveUp: string | null;
  /** `at`: by the drill's clock. */
  readonly noticed: readonly Noticed[];
  readonly reloads: number;
  readonly repeatedLogins: number;
}

interface Step {
  readonly name: string;
  /** The first time. */
  run(): Promise<void>;
  /** Whether the page that is shown is what was wanted. */
  arrived(): Promise<boolean>;
  /** The page that is opened again when something went wrong, and what is done from there. */
  readonly again: string;
  redo(): Promise<void>;
}

const LOGIN = '/login';

export class Person {
  readonly #visitor: Visitor;
  readonly #manners: Manners;
  readonly #account: Account;
  readonly #letter: Letter;
  readonly #noticed: Noticed[] = [];
  #reloads = 0;
  #repeatedLogins = 0;

  constructor(visitor: Visitor, given: { manners: Manners; account: Account; letter: Letter }) {
    this.#visitor = visitor;
    this.#manners = given.manners;
    this.#account = given.account;
    this.#letter = given.letter;
  }

  /** Of action 2 the login screen must be shown already. */
  async carryOut(action: Action): Promise<Carried> {
    const steps = action === 'action1' ? this.#connect() : this.#mail();
    let gaveUp: string | null = null;
    for (const [index, step] of steps.entries()) {
      this.#visitor.begin(step.name, index + 1, steps.length);
      gaveUp = await this.#take(step);
      if (gaveUp !== null) break;
    }
    return {
      gaveUp,
      noticed: this.#noticed,
      reloads: this.#reloads,
      repeatedLogins: this.#repeatedLogins,
    };
  }

  #connect(): Step[] {
    const visitor = this.#visitor;
    return [
      {
        name: 'connect',
        run: () => visitor.open(LOGIN, false),
        arrived: async () => visitor.path() === LOGIN,
        again: LOGIN,
        redo: async () => {},
      },
    ];
  }

  #mail(): Step[] {
    const visitor = this.#visitor;
    const { recipients, subject, body } = this.#letter;
    const send: Filling = { action: '/draft/', fields: { recipients, subject, body }, button: 'send' };
    const logOut: Filling = { action: '/logout', fields: {} };
    return [
      {
        name: 'log in',
        run: () => this.#logIn(),
        arrived: async () => visitor.path() === '/mail/inbox',
        again: '/mail/inbox',
        redo: async () => {},
      },
      {
        name: 'draft',
        run: () => visitor.open('/compose', false),
        arrived: async () => visitor.path() === '/compose',
        again: '/compose',
        redo: async () => {},
      },
      {
        name: 'send',
        run: () => visitor.submit(send),
        arrived: async () => (await this.#isSent()) && visitor.path() === '/mail/sent',
        // First a look whether it went off.
        again: '/mail/sent',
        redo: async () => {
          if (await this.#isSent()) return;
          await visitor.open('/compose', false);
          await visitor.submit(send);
        },
      },
      {
        name: 'log out',
        run: () => visitor.submit(logOut),
        arrived: async () => visitor.path() === LOGIN,
        again: LOGIN,
        redo: async () => {
          if (visitor.path() !== LOGIN) await visitor.submit(logOut);
        },
      },
    ];
  }

  #logIn(): Promise<void> {
    const { address, password } = this.#account;
    return this.#visitor.submit({ action: LOGIN, fields: { address, password } });
  }

  async #isSent(): Promise<boolean> {
    return (await this.#visitor.html()).includes(this.#letter.subject);
  }

  /** Null when the step is taken, else why it was given up. */
  async #take(step: Step): Promise<string | null> {
    for (let again = false; ; again = true) {
      try {
        if (again) await this.#again(step);
        else await step.run();
        if (await step.arrived()) return null;
        this.#notice('logged-out', `${step.name}: shown ${this.#visitor.path()} instead`);
      } catch (error) {
        if (!(error instanceof Trouble)) throw error;
        this.#notice(error.what, `${step.name}: ${error.message}`);
        // A reaction takes its time; who has waited in silence has had it.
        if (error.what === 'error') await pause(this.#manners.reactionMs);
      }
      if (this.#reloads >= this.#manners.mostReloads) return this.#noticed.at(-1)!.detail;
      this.#reloads++;
    }
  }

  async #again(step: Step): Promise<void> {
    await this.#visitor.open(step.again, true);
    // Nobody logs in in order to log out.
    if (this.#visitor.path() === LOGIN && step.again !== LOGIN) {
      // The first login is none that was repeated if it never succeeded; it was typed again all the same.
      this.#repeatedLogins++;
      await this.#logIn();
      if (this.#visitor.path() !== step.again) await this.#visitor.open(step.again, false);
    }
    await step.redo();
  }

  #notice(what: Noticed['what'], detail: string): void {
    this.#noticed.push({ what, at: now(), detail });
  }
}

/** Not a wait for a condition: this is how long a person takes. */
function pause(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms);
  });
}
