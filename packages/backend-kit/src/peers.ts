// The other back ends' kits.

import { isDeepStrictEqual } from 'node:util';
import {
  type Answer,
  alternateOf,
  ChannelClient,
  type JournalRecord,
  type SessionChange,
} from '@resplice/kit-channel';
import type { KitConfig } from './config.ts';

/** A peer has so long for an answer, milliseconds; then it is taken for down until it is heard again. */
const ANSWER_MS = 300;
/** More for long bodies: as if they went at this rate, bytes per millisecond. */
const SLOWEST = 20_000;
/** Session changes in one message. */
const BATCH = 500;
/** Between two parts of a resync, milliseconds. */
const RESYNC_MS = 2000;

export interface Found {
  readonly record: JournalRecord;
  readonly body: Buffer;
}

interface Peer {
  readonly client: ChannelClient;
  /** Not taken for up until it is heard after that, `performance.now()`. */
  doubtedAt: number;
  /** Sessions of which it may have missed a change. */
  readonly missed: Set<string>;
  isSynced: boolean;
  /** It is telling us all that it knows. */
  pull: Promise<void> | undefined;
  /** We are telling it what it missed. */
  isTold: boolean;
}

export interface PeersOptions {
  /** `members`: to begin with. */
  readonly config: Pick<KitConfig, 'self' | 'members' | 'kitKey' | 'answerMs'>;
  readonly session: (id: string) => SessionChange | undefined;
  /** A peer has come or gone. */
  readonly onChange: (name: string, isUp: boolean) => void;
  /** Part of what a peer knew when we first met it. */
  readonly onPart: (sessions: readonly SessionChange[], found: Found | undefined) => void;
}

export class Peers {
  readonly #options: PeersOptions;
  #order: readonly string[] = [];
  readonly #peers = new Map<string, Peer>();

  /** Connects at once. */
  constructor(options: PeersOptions) {
    this.#options = options;
    this.follow(options.config.members);
  }

  /** From here on these are the members: who is new is met, who is none any more is as if it had gone. */
  follow(members: KitConfig['members']): void {
    const others = members.filter(({ name }) => name !== this.#options.config.self);
    this.#order = members.map(({ name }) => name);
    for (const [name, { client }] of [...this.#peers]) {
      if (others.some(each => isDeepStrictEqual(each, client.peer))) continue;
      this.#peers.delete(name);
      client.close();
      this.#options.onChange(name, false);
    }
    for (const each of others) if (!this.#peers.has(each.name)) this.#peers.set(each.name, this.#join(each));
  }

  #join(member: KitConfig['members'][number]): Peer {
    const { self, kitKey } = this.#options.config;
    const { name } = member;
    const isMember = (): boolean => this.#peers.get(name)?.client === client;
    const client: ChannelClient = new ChannelClient({
      ...{ kitKey, self, peer: member },
      onUp: () => isMember() && this.#met(name),
      onDown: () => isMember() && this.#parted(name),
    });
    return { client, doubtedAt: 0, missed: new Set(), isSynced: false, pull: undefined, isTold: false };
  }

  /** Kept when every peer is either there, with all that it knew, or not there. */
  async settled(): Promise<void> {
    await Promise.all(
      [...this.#peers.values()].map(async peer => {
        await peer.client.tried;
        await peer.pull;
      }),
    );
  }

  isUp(name: string): boolean {
    const peer = this.#peers.get(name);
    return peer?.client.isUp === true && peer.client.heardMs > peer.doubtedAt;
  }

  /** Somebody says that it has failed: not up until it is heard again. */
  doubt(name: string): void {
    const peer = this.#peers.get(name);
    if (peer !== undefined) peer.doubtedAt = performance.now();
  }

  get status(): { name: string; up: boolean }[] {
    return [...this.#peers.keys()].map(name => ({ name, up: this.isUp(name) }));
  }

  /** Who keeps our records now. */
  alternate(): string | undefined {
    return alternateOf(this.#order, this.#options.config.self, name => this.isUp(name));
  }

  /**
   * Gives a record to the alternate; to the next one when that does not answer.
   * @returns who has it, `refused` when a later attempt is known, `none` when nobody is there
   */
  async ship(record: JournalRecord, body: Buffer): Promise<{ where: string } | 'refused' | 'none'> {
    for (const _ of this.#peers) {
      const where = this.alternate();
      if (where === undefined) break;
      const answer = await this.#ask(where, { type: 'journal', record }, body);
      if (answer?.type === 'refused') return 'refused';
      if (answer?.type === 'stored') return { where };
    }
    return 'none';
  }

  /** Tells all peers of changes; waits for those that are up. Never throws. */
  async tell(changes: readonly SessionChange[], except?: string): Promise<void> {
    await Promise.all(
      [...this.#peers].map(async ([name, { missed }]) => {
        if (name === except) return;
        const heard =
          this.isUp(name) &&
          (await this.#ask(name, { type: 'sessions', changes: [...changes] })) !== undefined;
        if (!heard) for (const { id } of changes) missed.add(id);
      }),
    );
  }

  /**
   * Asks all peers for a record; they refuse earlier attempts from then on. The latest attempt's counts: one that was cut off
   * may have an earlier one still.
   */
  async lookup(transaction: string, attempt: number): Promise<Found | undefined> {
    const up = [...this.#peers.keys()].filter(name => this.isUp(name));
    const answers = await Promise.all(
      up.map(name => this.#ask(name, { type: 'lookup', transaction, attempt })),
    );
    let latest: Found | undefined;
    for (const answer of answers) {
      if (answer?.type !== 'found') continue;
      if (latest === undefined || answer.record.attempt > latest.record.attempt) latest = answer;
    }
    return latest;
  }

  /** Tells peers what they may have missed, and asks those for all that could not answer before; each at its own pace. */
  async catchUp(): Promise<void> {
    await Promise.all(
      [...this.#peers].map(async ([name, peer]) => {
        const pull = !peer.isSynced && this.isUp(name) ? this.#pull(peer) : undefined;
        await this.#tellMissed(name, peer);
        await pull;
      }),
    );
  }

  async #tellMissed(name: string, peer: Peer): Promise<void> {
    if (peer.isTold) return;
    peer.isTold = true;
    const { missed } = peer;
    while (missed.size > 0 && this.isUp(name)) {
      const ids = [...missed].slice(0, BATCH);
      for (const id of ids) missed.delete(id);
      const changes = ids.flatMap(id => this.#options.session(id) ?? []);
      if (changes.length === 0) continue;
      if ((await this.#ask(name, { type: 'sessions', changes })) !== undefined) continue;
      for (const id of ids) missed.add(id);
      break;
    }
    peer.isTold = false;
  }

  close(): void {
    for (const { client } of this.#peers.values()) client.close();
  }

  async #ask(
    name: string,
    asked: Parameters<ChannelClient['request']>[0],
    body: Buffer = Buffer.alloc(0),
  ): Promise<Answer | undefined> {
    const client = this.#peers.get(name)?.client;
    if (client === undefined) return undefined;
    const { answerMs = ANSWER_MS } = this.#options.config;
    const deadlineMs = answerMs + body.length / SLOWEST;
    try {
      return await client.request(asked, { body, deadlineMs });
    } catch {
      this.doubt(name);
      return undefined;
    }
  }

  #met(name: string): void {
    this.#options.onChange(name, true);
    const peer = this.#peers.get(name)!;
    if (!peer.isSynced) void this.#pull(peer);
  }

  /** What it hears from now on we may never hear from it: others may die who would have told us. */
  #parted(name: string): void {
    this.#peers.get(name)!.isSynced = false;
    this.#options.onChange(name, false);
  }

  /** One at a time: it is much. */
  #pull(peer: Peer): Promise<void> {
    peer.pull ??= this.#resync(peer).finally(() => {
      peer.pull = undefined;
    });
    return peer.pull;
  }

  /** All that a peer knows: we may have been away for long. */
  async #resync(peer: Peer): Promise<void> {
    try {
      await peer.client.request(
        { type: 'resync' },
        {
          deadlineMs: RESYNC_MS,
          onPart: part => {
            if (part.type !== 'part') return;
            const { sessions, record, body } = part;
            this.#options.onPart(sessions, record === undefined ? undefined : { record, body });
          },
        },
      );
      peer.isSynced = true;
    } catch {
      // It went away, or is too busy: again when it is met the next time, or when we next catch up.
    }
  }
}
