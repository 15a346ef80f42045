import { type Conversation, UPGRADED } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { Guard, type GuardDeps } from './guard.ts';
import type { Rules } from './rules.ts';

export interface GuardsDeps extends Omit<GuardDeps, 'tracks' | 'judge' | 'attend'> {
  datapath: Pick<Datapath, 'tracks'>;
  rules: Rules;
  isOver(conversation: Conversation): boolean;
}

/** The guards of all connections that have one, and what they have under way. */
export class Guards {
  readonly #deps: GuardsDeps;
  readonly #rules: Rules;
  readonly #each: GuardDeps;
  /** Those whose guards have something under way. */
  readonly #attended = new Set<Conversation>();

  constructor(deps: GuardsDeps) {
    this.#deps = deps;
    this.#rules = deps.rules;
    this.#each = {
      ...deps,
      tracks: deps.datapath.tracks,
      judge: ({ id }, head) => this.#rules.judge(id.vipPort, id.client, head.routable(), head.size),
      attend: conversation => this.#attended.add(conversation),
    };
  }

  /** From here on each of its requests is judged, if its listener's rules say so, or those that it began with did. */
  begin(conversation: Conversation, isGuarded: boolean): void {
    if (!isGuarded && !this.#rules.guards(conversation.id.vipPort)) return;
    this.#deps.datapath.tracks.guard(conversation.slot);
    conversation.guard = new Guard(conversation, this.#each);
  }

  /** Other rules hold: for connections that were not guarded yet, from the next request on. */
  followRules(conversations: Iterable<Conversation>): void {
    for (const conversation of conversations) {
      const { guard, unprotected } = conversation;
      if (guard || this.#deps.isOver(conversation)) continue;
      // What has become another protocol has no requests.
      if (unprotected === UPGRADED) continue;
      this.begin(conversation, false);
      if (!conversation.guard) continue;
      conversation.guard.isFresh = false;
      if (unprotected === undefined) this.#attended.add(conversation);
      else this.#deps.abandon(conversation, unprotected);
    }
  }

  /** To be called now and then. */
  look(): void {
    const attended = [...this.#attended];
    this.#attended.clear();
    for (const { guard } of attended) guard?.look();
  }

  /** It is over: nothing is under way for it. */
  forget(conversation: Conversation): void {
    this.#attended.delete(conversation);
    conversation.guard?.rest();
  }
}
