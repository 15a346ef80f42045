import { add, deltaOf } from '@resplice/dataplane';
import type { Recovery } from '@resplice/site-config';
import type { Backend, Dialer, Wire } from '@resplice/splice';
import type { Alternates } from './alternates.ts';
import type { Conversation } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ask, type DialogueDeps, subjectsOf } from './dialogue.ts';
import type { Allowed, Rules } from './rules.ts';
import type { Transaction } from './transaction.ts';

/**
 * Added to the cookie of a SYN that only is to differ from the one after it. A back end that the connection comes back to may still have
 * a socket of this very transaction, and would take that one for a repetition, which resets nothing (ARCHITECTURE §2.3).
 */
const UNLIKE_P0 = 0x8000_0000;

export interface SearchDeps extends DialogueDeps {
  datapath: Datapath;
  wire: Wire;
  dialer: Dialer;
  alternates: Alternates;
  rules: Rules;
  recovery: Recovery;
}

/** A back end that has taken the connection, from the first unfinished request on. */
export interface Found {
  backend: Backend;
  delta: number;
  /** Offsets where what it is to be given begins, and where its response goes. */
  requestAt: number;
  responseAt: number;
  /** The oldest unfinished one. */
  transaction: Transaction | undefined;
}

export interface SearchEvents {
  connected(found: Found): void;
  /** This one has refused, or did not answer. */
  failed(): void;
  /** Nobody is up: somebody may be soon. */
  later(): void;
  /** Nobody has been up for as long as a request waits. */
  nobody(): void;
  /** Whoever is up can be given this transaction only as one of which there is no journal. */
  hopeless(transaction: Transaction): void;
}

/** Looks for the back end that goes on with a connection, and opens the connection there. */
export class Search {
  readonly #conversation: Conversation;
  readonly #deps: SearchDeps;
  readonly #events: SearchEvents;
  readonly #former: Backend | undefined;
  /** Who had it last. */
  #predecessor: Backend | undefined;
  readonly #tried = new Set<Backend>();
  /** Transaction that one of those cannot go on with. */
  #unfit: Transaction | undefined;
  #backend: Backend | undefined;
  /** Grows with each attempt: what was begun for a former one is void. */
  #attempt = 0;
  /** performance.now() since when there has been no back end to ask. */
  #waitingSinceMs: number | undefined;

  constructor(
    conversation: Conversation,
    deps: SearchDeps,
    former: Backend | undefined,
    events: SearchEvents,
  ) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#former = this.#predecessor = former;
    this.#events = events;
  }

  /** The last one that was asked. */
  get backend(): Backend | undefined {
    return this.#backend;
  }

  /** Whatever was begun is void. */
  cancel(): void {
    this.#attempt++;
  }

  /** The former one lives after all, and has the connection again. */
  giveBack(former: Backend): void {
    this.cancel();
    this.#backend = former;
  }

  /**
   * Asks the next one.
   *
   * @param heard offset behind the last byte that the client may have heard
   */
  next(heard: number): void {
    const conversation = this.#conversation;
    const { alternates, recovery } = this.#deps;
    const backend = alternates.choose(this.#former, this.#tried, this.#allowed());
    if (!backend) {
      this.#tried.clear();
      const unfit = this.#unfit;
      this.#unfit = undefined;
      if (unfit && unfit === conversation.transactions[0]) {
        this.#events.hopeless(unfit);
        return;
      }
      this.#waitingSinceMs ??= performance.now();
      if (performance.now() - this.#waitingSinceMs < recovery.wait) this.#events.later();
      else this.#events.nobody();
      return;
    }
    this.#waitingSinceMs = undefined;
    this.#tried.add(backend);
    this.#backend = backend;
    if (this.#predecessor && subjectsOf(conversation).length > 0) this.#ask(backend, heard);
    else this.#dial(backend);
  }

  /** Who may have the oldest request: those of its verdict's pool, or of the listener's only one. */
  #allowed(): Pick<Allowed, 'members' | 'session'> | undefined {
    const { transactions, id } = this.#conversation;
    const verdict = transactions[0]?.verdict;
    if (typeof verdict === 'object' && verdict.kind === 'allowed') return verdict;
    const members = this.#deps.rules.membersOf(id.vipPort);
    return members && { members, session: undefined };
  }

  /** Of transactions with a journal the kit is told first; it may not be able to go on with them. */
  #ask(backend: Backend, heard: number): void {
    const conversation = this.#conversation;
    const attempt = ++this.#attempt;
    void ask(this.#deps, conversation, backend, this.#predecessor!.name).then(() => {
      if (attempt !== this.#attempt) return;
      const [transaction] = conversation.transactions;
      if (!transaction || transaction.isFit(transaction.isUnanswered(heard))) {
        this.#unfit = undefined;
        this.#dial(backend);
        return;
      }
      if (transaction.recovered?.stored === 'none' && !transaction.isUnanswered(heard))
        this.#deps.tally.journalsMissing++;
      this.#unfit = transaction;
      this.next(heard);
    });
  }

  #dial(backend: Backend): void {
    const conversation = this.#conversation;
    const { dialer, timeline, wire, tally } = this.#deps;
    const [transaction] = conversation.transactions;
    const requestAt = conversation.pendingRequestAt;
    const responseAt = transaction ? transaction.responseAt : conversation.responseAt;
    const id = {
      ...conversation.id,
      isn: add(conversation.clientSequence(requestAt), -1),
      moved: {
        ...{ isn: conversation.id.isn, p0: conversation.p0 },
        start: transaction?.given ?? conversation.given,
      },
    };
    const p0 = add(conversation.serverSequence(responseAt), -1);
    timeline.note(conversation, `SYN to ${backend.name}`);
    tally.dialled++;
    const attempt = ++this.#attempt;
    if (this.#hasHeld(backend)) wire.syn(backend, id, add(p0, UNLIKE_P0), conversation.offer, 0);
    void dialer.dial(backend, id, p0, conversation.offer).then(result => {
      if (attempt !== this.#attempt) return;
      if (result.kind === 'connected') {
        const delta = deltaOf(p0, result.s0);
        timeline.note(conversation, 'connected');
        this.#learn(backend, delta);
        this.#predecessor = backend;
        this.#events.connected({ backend, delta, requestAt, responseAt, transaction });
      } else {
        timeline.note(conversation, `${backend.name} ${result.kind}`);
        this.#events.failed();
      }
    });
  }

  #flowOf(backend: Backend) {
    const { client, clientPort } = this.#conversation.id;
    return { client, peer: backend.address, clientPort, peerPort: backend.port };
  }

  /** Whether the connection has been with that back end before. */
  #hasHeld(backend: Backend): boolean {
    const flow = this.#deps.datapath.flows.get(this.#flowOf(backend));
    return flow?.slot === this.#conversation.slot && flow.known !== 0;
  }

  /** Tells the kernel half how proxies may address this back end. */
  #learn(backend: Backend, delta: number): void {
    const { slot } = this.#conversation;
    const { datapath, alternates } = this.#deps;
    const key = this.#flowOf(backend);
    // A proxy that has not heard yet may go on translating for a socket that was there before.
    const former = datapath.flows.get(key);
    const cameBack = former?.slot === slot && former.known ? 1 : 0;
    datapath.flows.set(key, {
      ...{ slot, delta, formerDelta: former?.delta ?? 0 },
      ...{ mac: alternates.stationOf(backend), known: 1, cameBack },
    });
  }
}
