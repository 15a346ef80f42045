/** The crowd's thread, in the client's place: people who read and send, each on a connection of his own. */
import { parentPort, workerData } from 'node:worker_threads';
import { enterNetworkNamespace } from '@resplice/e2e/fixtures/network-namespace.ts';
import { letterOf } from './letter.ts';
import { type Account, Broken, LoggedOut, Person } from './person.ts';

export interface CrowdOrder {
  /** Path of the client's network namespace. */
  readonly namespace: string;
  readonly origin: string;
  readonly people: readonly Account[];
  /** Of the letters' subjects: `MARK NUMBER`. */
  readonly mark: string;
  /** Letters are numbered from 1 to this. */
  readonly sends: number;
  readonly seed: number;
}

/** What became of a letter, as its author was told. */
export type SendOutcome = 'sent' | 'sending' | 'broken' | 'logged out';

export type CrowdNews =
  /** All are logged in. */
  | { readonly type: 'ready' }
  /** The form is about to be posted. */
  | { readonly type: 'begun'; readonly number: number; readonly author: string }
  | {
      readonly type: 'ended';
      readonly number: number;
      readonly outcome: SendOutcome;
      readonly why: string | null;
      readonly ms: number;
    }
  /** A page that nobody's letter depends on was not as it should be. */
  | { readonly type: 'broken'; readonly why: string; readonly loggedOut: boolean }
  /** No letter is left. */
  | { readonly type: 'done' }
  /** All is over: pages that came whole, people who are still logged in. */
  | { readonly type: 'over'; readonly pages: number; readonly sessions: number };

/** What the crowd is told: to begin, to begin so many letters more and then wait, to go on, to look whether they are logged in. */
export type CrowdCommand = 'go' | { readonly more: number } | 'look';

const order = workerData as CrowdOrder;
const port = parentPort!;
const tell = (news: CrowdNews): void => port.postMessage(news);
enterNetworkNamespace(order.namespace);

let last = 0;
/** Nobody begins a later letter than that one for now. */
let limit = 0;
let onChange = Promise.withResolvers<void>();
const isOver = Promise.withResolvers<void>();

port.on('message', (command: CrowdCommand) => {
  if (command === 'look') isOver.resolve();
  else limit = command === 'go' ? order.sends : Math.min(last + command.more, order.sends);
  onChange.resolve();
  onChange = Promise.withResolvers();
});

function whyOf(error: unknown): { why: string; loggedOut: boolean } {
  if (!(error instanceof Broken || error instanceof LoggedOut)) throw error;
  return { why: error.message, loggedOut: error instanceof LoggedOut };
}

/** A page for itself. Who finds himself logged out logs in again, as a person would. */
async function look(person: Person, path: string): Promise<void> {
  try {
    await person.read(path);
  } catch (error) {
    const { why, loggedOut } = whyOf(error);
    tell({ type: 'broken', why, loggedOut });
    if (loggedOut) await person.logIn().catch(whyOf);
  }
}

async function write(person: Person, number: number): Promise<void> {
  const author = person.address;
  const letter = letterOf(number, author, order);
  const from = performance.now();
  const end = (outcome: SendOutcome, why: string | null): void =>
    tell({ type: 'ended', number, outcome, why, ms: performance.now() - from });
  try {
    end(await person.send(letter, () => tell({ type: 'begun', number, author })), null);
  } catch (error) {
    const { why, loggedOut } = whyOf(error);
    end(loggedOut ? 'logged out' : 'broken', why);
    if (loggedOut) await person.logIn().catch(whyOf);
  }
}

async function live(person: Person): Promise<void> {
  while (last < order.sends) {
    if (last >= limit) {
      await onChange.promise;
      continue;
    }
    const number = ++last;
    await look(person, number % 2 === 0 ? '/mail/inbox' : '/mail/sent');
    await write(person, number);
  }
}

const people = order.people.map(account => new Person(order.origin, account));
// One after the other: passwords cost time on purpose, and this is not what the storm is about.
for (const person of people) await person.logIn();
tell({ type: 'ready' });
await Promise.all(people.map(live));
// When nothing is broken any more.
tell({ type: 'done' });
await isOver.promise;
const known = await Promise.all(
  people.map(person =>
    person.isLoggedIn().catch(error => {
      tell({ type: 'broken', ...whyOf(error) });
      return false;
    }),
  ),
);
tell({
  type: 'over',
  pages: people.reduce((sum, { pages }) => sum + pages, 0),
  sessions: known.filter(Boolean).length,
});
for (const person of people) person.leave();
port.close();
