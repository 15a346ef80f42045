import type { Backend, Wire } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ClientMode } from './layout.generated.ts';
import { Replayer } from './replayer.ts';

/** A connection whose next request is kept back: it leaves as soon as nothing is under way. */
interface Leaving {
  /** All that was forwarded before the client's bytes were held has been told. */
  isSettled: boolean;
  /** Brings the back end what was lost on the way of its last request: the client's own repetitions are held. */
  replayer: Replayer | undefined;
}

export interface DrainsDeps {
  datapath: Pick<Datapath, 'tracks' | 'afterDrain'>;
  wire: Pick<Wire, 'reset' | 'deliver'>;
  /** Whether it is over, or moves already. */
  isBusy(conversation: Conversation): boolean;
  /** Whether somebody else is up who could take its connections. */
  hasAlternate(backend: Backend): boolean;
  /** Takes the connection away from its back end. */
  move(conversation: Conversation, why: string): void;
}

export interface DrainView {
  backend: string;
  /** Still there. */
  connections: number;
  /** Of these, what cannot be moved and is waited for until it ends. */
  unprotected: number;
}

/**
 * Takes connections off back ends that are to be empty, each between two transactions: nobody notices. A fast client's next request
 * is on its way before anybody can know that the response has ended, so from the end of one request on the next ones are held.
 */
export class Drains {
  readonly #deps: DrainsDeps;
  readonly #leaving = new Map<Conversation, Leaving>();
  #backends: ReadonlySet<Backend> = new Set();

  constructor(deps: DrainsDeps) {
    this.#deps = deps;
  }

  /** From here on these are to be empty, and no others. What is about to leave another one leaves it all the same. */
  set(backends: Iterable<Backend>): void {
    this.#backends = new Set(backends);
  }

  /** Whether nobody is drained, and nobody about to leave. */
  get isIdle(): boolean {
    return this.#backends.size === 0 && this.#leaving.size === 0;
  }

  /** @param conversations those that are not over */
  views(conversations: Iterable<Conversation>): DrainView[] {
    const views = new Map([...this.#backends].map(each => [each, { connections: 0, unprotected: 0 }]));
    for (const { backend, unprotected } of conversations) {
      const view = backend && views.get(backend);
      if (!view) continue;
      view.connections++;
      if (unprotected !== undefined) view.unprotected++;
    }
    return [...views].map(([{ name }, view]) => ({ backend: name, ...view }));
  }

  /** Whether it is about to leave its back end. */
  isLeaving(conversation: Conversation): boolean {
    return this.#leaving.has(conversation);
  }

  /** Something may have ended: to be called now and then for every connection, and when its client has said something. */
  look(conversation: Conversation): void {
    if (this.isIdle) return;
    const leaving = this.#leaving.get(conversation);
    if (leaving) {
      if (leaving.isSettled) this.#advance(conversation, leaving);
      return;
    }
    const { backend } = conversation;
    if (!backend || !this.#backends.has(backend) || !this.#deps.hasAlternate(backend)) return;
    if (this.#deps.isBusy(conversation) || endsByItself(conversation)) return;
    conversation.commit();
    if (!isBetweenRequests(conversation)) return;
    const { datapath } = this.#deps;
    const entry: Leaving = { isSettled: false, replayer: undefined };
    this.#leaving.set(conversation, entry);
    datapath.tracks.setClientMode(conversation.slot, ClientMode.CLIENT_HELD);
    datapath.afterDrain(() => {
      entry.isSettled = true;
      if (this.#leaving.get(conversation) === entry) this.#advance(conversation, entry);
    });
  }

  /** It is over, or moves for another reason. */
  forget(conversation: Conversation): void {
    this.#leaving.get(conversation)?.replayer?.close();
    this.#leaving.delete(conversation);
  }

  close(): void {
    for (const conversation of [...this.#leaving.keys()]) this.forget(conversation);
  }

  #advance(conversation: Conversation, leaving: Leaving): void {
    const { datapath, isBusy } = this.#deps;
    if (isBusy(conversation) || conversation.unprotected !== undefined) {
      this.forget(conversation);
      return;
    }
    conversation.commit();
    if (endsByItself(conversation)) {
      // What was held its client sends again.
      datapath.tracks.setClientMode(conversation.slot, ClientMode.CLIENT_PASSES);
      this.forget(conversation);
      return;
    }
    const [transaction] = conversation.transactions;
    // What this back end does not have as a whole is the next one's to run.
    if (!transaction?.delivered) this.#leave(conversation);
    else if (!leaving.replayer) this.#complete(conversation, leaving);
  }

  #complete(conversation: Conversation, leaving: Leaving): void {
    const { transactions, backend, slot, delivered } = conversation;
    const { datapath, wire } = this.#deps;
    const { requestEnd = 0 } = transactions.findLast(each => each.delivered) ?? {};
    if (!backend || delivered >= requestEnd) return;
    leaving.replayer = new Replayer({
      ...{ conversation, wire, tracks: datapath.tracks, backend },
      delta: datapath.tracks.delta(slot),
      from: delivered,
    });
    leaving.replayer.limit = requestEnd;
    leaving.replayer.go();
  }

  #leave(conversation: Conversation): void {
    const { datapath, wire, move } = this.#deps;
    const { backend, slot, id } = conversation;
    this.forget(conversation);
    if (!backend) return;
    // Exactly what its kernel expects next: it believes no other reset (RFC 5961 §3.2).
    const expected = datapath.tracks.serverAcked(slot);
    move(conversation, `drained: leaves ${backend.name}`);
    wire.reset(backend, id, expected);
  }
}

/** Its client or its server has said that nothing follows. */
function endsByItself({ unprotected, ended, clientEnd, closes, transactions }: Conversation): boolean {
  return (
    unprotected !== undefined ||
    ended ||
    clientEnd !== undefined ||
    closes ||
    transactions.some(each => each.closes)
  );
}

/** The back end has all that the client has begun to send. */
function isBetweenRequests({ transactions, requests, delivered, hasPendingBytes }: Conversation): boolean {
  const last = transactions.at(-1);
  if (!last) return !hasPendingBytes;
  return last.requestEnd !== undefined && requests.end === last.requestEnd && delivered >= last.requestEnd;
}
