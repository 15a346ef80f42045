// The back ends' kits, as the logger speaks with them (P11.5, P12.1, P12.3): one channel to each, kept open while any listener or route
// says that its application keeps a journal. Back-end loggers have one too: they are told what may be forgotten, and nothing else.

import { formatIp } from '@resplice/dataplane';
import {
  ChannelClient,
  ChannelError,
  type KitConnection,
  type RecoverAnswer,
  transactionId,
} from '@resplice/kit-channel';
import type { Log } from '@resplice/service-kit';
import type { Backend, BackendConfig } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Transaction } from './transaction.ts';

/** How long a kit may take to come back before it counts as not to be reached, ms: its channel is dialled every half second. */
const REACH_MS = 600;
/** How long a kit may take to say what it has of a transaction, ms: it may have to ask others. */
const ANSWER_MS = 1500;
/** Transactions in one message. */
const MOST_COMMITS = 10_000;

/** What recovery asks of them. */
export interface Journals {
  /** The transaction's ID; undefined: nobody knows its number. */
  idOf(conversation: Conversation, transaction: Transaction): string | undefined;
  /**
   * Tells a successor's kit what it is to go on with, and hears what it has of it.
   *
   * @param from name of the back end that had it
   * @returns undefined: it cannot be reached, or does not answer in time
   */
  recover(
    backend: Backend,
    conversation: Conversation,
    transaction: Transaction,
    from: string,
  ): Promise<RecoverAnswer | undefined>;
  /** Clients have acknowledged all of their responses: these may be forgotten everywhere. */
  commit(transactions: readonly string[]): void;
  /**
   * Nobody can bring these responses to their clients any more: the kits forget them. Back-end loggers do not, until they are old: a
   * successor may be running one of them still, and must not do again what its predecessor did.
   */
  abandon(transactions: readonly string[]): void;
}

export interface KitsOptions {
  kitKey: Uint8Array;
  /** This logger's name, which the kits know. */
  self: string;
  backends: readonly BackendConfig[];
  auxiliaries: readonly { readonly name: string; readonly address: string }[];
  /** TCP port of all of them. */
  port: number;
  log: Log;
}

export class Kits implements Journals {
  readonly #options: KitsOptions;
  readonly #clients = new Map<string, ChannelClient>();
  readonly #auxiliaries = new Map<string, ChannelClient>();
  /** Resolved when the next of them is connected. */
  #up = Promise.withResolvers<void>();

  constructor(options: KitsOptions) {
    this.#options = options;
  }

  /** Says whether there is any use for them; connects, or lets go. */
  use(isWanted: boolean): void {
    if (!isWanted) {
      this.close();
      return;
    }
    const { backends, auxiliaries, kitKey, self, port, log } = this.#options;
    for (const { name, address } of auxiliaries) {
      if (this.#auxiliaries.has(name)) continue;
      this.#auxiliaries.set(name, new ChannelClient({ kitKey, self, peer: { name, address, port } }));
    }
    for (const { name, address } of backends) {
      if (this.#clients.has(name)) continue;
      const client = new ChannelClient({
        ...{ kitKey, self, peer: { name, address, port } },
        onUp: () => {
          log.info({ backend: name }, 'kit reached');
          this.#up.resolve();
          this.#up = Promise.withResolvers();
        },
        onDown: () => log.info({ backend: name }, 'kit lost'),
      });
      this.#clients.set(name, client);
    }
  }

  /** Names of back ends, and whether their kits can be reached. */
  get reached(): Record<string, boolean> {
    return Object.fromEntries([...this.#clients].map(([name, { isUp }]) => [name, isUp]));
  }

  close(): void {
    for (const clients of [this.#clients, this.#auxiliaries]) {
      for (const client of clients.values()) client.close();
      clients.clear();
    }
  }

  idOf(conversation: Conversation, { given, isNumbered }: Transaction): string | undefined {
    if (given === undefined || !isNumbered) return undefined;
    return transactionId(this.#options.kitKey, connectionOf(conversation), given);
  }

  async recover(
    backend: Backend,
    conversation: Conversation,
    transaction: Transaction,
    from: string,
  ): Promise<RecoverAnswer | undefined> {
    const client = this.#clients.get(backend.name);
    const id = this.idOf(conversation, transaction);
    if (!client || id === undefined || !(await this.#reach(client))) return undefined;
    try {
      const answer = await client.request(
        {
          ...{ type: 'recover', connection: connectionOf(conversation), transaction: id },
          ...{ number: transaction.given!, attempt: transaction.attempts, from },
        },
        { deadlineMs: ANSWER_MS },
      );
      return answer.type === 'recovered' ? answer : undefined;
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#options.log.warn({ backend: backend.name, error: error.message }, 'kit does not answer');
      return undefined;
    }
  }

  /** Whether it is there, or is back soon: one that has just been started anew may not have been dialled again yet. */
  async #reach(client: ChannelClient): Promise<boolean> {
    const until = performance.now() + REACH_MS;
    while (!client.isUp) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return false;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, leftMs);
      await Promise.race([this.#up.promise, promise]);
      clearTimeout(timer);
    }
    return true;
  }

  commit(transactions: readonly string[]): void {
    this.#forget(transactions, [...this.#clients.values(), ...this.#auxiliaries.values()]);
  }

  abandon(transactions: readonly string[]): void {
    this.#forget(transactions, [...this.#clients.values()]);
  }

  #forget(transactions: readonly string[], clients: readonly ChannelClient[]): void {
    for (let at = 0; at < transactions.length; at += MOST_COMMITS) {
      const part = transactions.slice(at, at + MOST_COMMITS);
      // One that is away forgets by itself.
      for (const client of clients) client.tell({ type: 'commit', transactions: part });
    }
  }
}

function connectionOf({ id, p0 }: Conversation): KitConnection {
  return {
    ...{ client: formatIp(id.client), clientPort: id.clientPort },
    ...{ vip: formatIp(id.vip), vipPort: id.vipPort, originalIsn: id.isn, p0 },
  };
}
