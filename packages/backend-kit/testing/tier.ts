// Several back ends in one process, each at an address of its own, with an agent and a kit.

import { randomBytes } from 'node:crypto';
import {
  type Answer as ChannelAnswer,
  ChannelClient,
  type KitConnection,
  kitKeyOf,
  type Request,
  transactionId,
} from '@resplice/kit-channel';
import Fastify, { type FastifyInstance } from 'fastify';
import type { KitConfig } from '../src/config.ts';
import { type BackendKit, backendKit } from '../src/plugin.ts';
import { FakeAgent } from './fake-agent.ts';
import { Line } from './line.ts';
import { RawClient } from './raw-client.ts';

/** Makes the application of a back end; does not listen. */
export type Build = (kit: BackendKit, name: string) => Promise<FastifyInstance>;
/** Defines the routes of an application that has the kit already. */
export type Define = (app: FastifyInstance, kit: BackendKit, name: string) => Promise<void> | void;

export interface Node {
  readonly name: string;
  readonly address: string;
  readonly agent: FakeAgent;
  readonly kit: BackendKit;
  readonly app: FastifyInstance;
  /** What the kit warned of. */
  readonly warnings: string[];
}

const CHANNEL_PORT = 7002;
const APP_PORT = 8080;
/** Host part of the clients' address. */
const CLIENT = 200;

export class Tier {
  // Of its own: two tiers on one database must not call two requests by one name.
  readonly kitKey = kitKeyOf(randomBytes(32));
  readonly #build: Build;
  #count: number;
  readonly #site: KitConfig['site'];
  readonly #nodes = new Map<number, Node>();
  readonly #clients: RawClient[] = [];
  readonly #loggers = new Map<number, ChannelClient>();
  /** From a back end to another, by their numbers. */
  readonly #lines = new Map<string, Line>();
  // Below those that the system gives to others.
  #ports = 20_000;

  private constructor(count: number, build: Build, site: KitConfig['site']) {
    this.#count = count;
    this.#build = build;
    this.#site = site;
  }

  /** Back ends 1…count, all started. */
  static async start(count: number, define: Define, site?: KitConfig['site']): Promise<Tier> {
    const build: Build = async (kit, name) => {
      const app = Fastify({ forceCloseConnections: true });
      await app.register(kit.plugin);
      await define(app, kit, name);
      return app;
    };
    return await Tier.of(count, build, site);
  }

  /** The same with applications that are made elsewhere. */
  static async of(count: number, build: Build, site?: KitConfig['site']): Promise<Tier> {
    const tier = new Tier(count, build, site);
    try {
      for (let i = 1; i <= count; i++) await tier.restart(i);
      await tier.joined();
    } catch (error) {
      await tier.close();
      throw error;
    }
    return tier;
  }

  node(i: number): Node {
    const node = this.#nodes.get(i);
    if (node === undefined) throw new Error(`back end ${i} is not running`);
    return node;
  }

  kit(i: number) {
    return this.node(i).kit.kit!;
  }

  /** Kept when all that run are joined. */
  async joined(): Promise<void> {
    const up = [...this.#nodes.keys()].length - 1;
    for (const { kit } of this.#nodes.values()) {
      while (kit.kit!.status.peers.filter(peer => peer.up).length < up) await turn();
    }
  }

  /** Other numbers of back ends under those that run: they hear of it, then new ones start, and those that are too many end. */
  async resize(count: number): Promise<void> {
    const before = this.#count;
    this.#count = count;
    for (const [i, { kit }] of this.#nodes)
      if (i <= count) kit.kit!.follow({ ...kit.kit!.config, members: await this.#membersFor(i) });
    for (let i = before + 1; i <= count; i++) await this.restart(i);
    for (let i = count + 1; i <= before; i++) if (this.#nodes.has(i)) await this.crash(i);
  }

  /** As that one reaches them. */
  async #membersFor(i: number): Promise<KitConfig['members']> {
    const members = [];
    for (let to = 1; to <= this.#count; to++) {
      const { port } = await this.#line(i, to);
      members.push({ name: `backend-${to}`, address: this.addressOf(to), port });
    }
    return members;
  }

  async restart(i: number): Promise<void> {
    const name = `backend-${i}`;
    const agent = await FakeAgent.start();
    const kit = backendKit({
      self: name,
      listen: { address: this.addressOf(i), port: CHANNEL_PORT },
      agentPort: agent.port,
      // Where a peer is silent on purpose, a second is short; where it is not, all of them are one busy process.
      answerMs: 1000,
      members: await this.#membersFor(i),
      loggers: ['logger-1'],
      site: this.#site,
      kitKey: this.kitKey,
    });
    const app = await this.#build(kit, name);
    const warnings: string[] = [];
    app.log.warn = ((_fields: unknown, message: string) =>
      warnings.push(message)) as unknown as typeof app.log.warn;
    try {
      await app.listen({ host: this.addressOf(i), port: APP_PORT });
    } catch (error) {
      await agent.close();
      await app.close();
      throw error;
    }
    this.#nodes.set(i, { name, address: this.addressOf(i), agent, kit, app, warnings });
  }

  /** No kit hears this one any more, nor this one any. */
  cut(i: number): void {
    for (const line of this.#linesOf(i)) line.cut();
  }

  heal(i: number): void {
    for (const line of this.#linesOf(i)) line.heal();
  }

  #linesOf(i: number): Line[] {
    return [...this.#lines].filter(([ends]) => ends.split('>').includes(String(i))).map(([, line]) => line);
  }

  async #line(from: number, to: number): Promise<Line> {
    const ends = `${from}>${to}`;
    const known = this.#lines.get(ends);
    if (known) return known;
    const line = await Line.to(this.addressOf(to), CHANNEL_PORT);
    this.#lines.set(ends, line);
    return line;
  }

  /** Ends a back end at once: its sockets, its kit. What its handlers have begun goes on, as in a machine that is cut off. */
  async crash(i: number): Promise<void> {
    const { app, agent } = this.node(i);
    this.#nodes.delete(i);
    this.#loggers.get(i)?.close();
    this.#loggers.delete(i);
    await agent.close();
    app.server.closeAllConnections();
    await app.close();
  }

  /** A client's connection, as the tier knows it: whichever back end serves it. */
  connection(): KitConnection {
    const clientPort = this.#ports++;
    const client = this.addressOf(CLIENT);
    return { client, clientPort, vip: '198.51.100.10', vipPort: 80, originalIsn: 7, p0: 11 };
  }

  id(connection: KitConnection, number: number): string {
    return transactionId(this.kitKey, connection, number);
  }

  /** A client whose connection this back end has been given. */
  async client(
    i: number,
    connection: KitConnection | undefined = this.connection(),
    { start = 0, moved = start > 0 }: { start?: number; moved?: boolean } = {},
  ): Promise<RawClient> {
    const { address, agent } = this.node(i);
    agent.known.set(connection.clientPort, { connection, start, moved });
    const client = await RawClient.connect(address, APP_PORT, connection);
    this.#clients.push(client);
    return client;
  }

  /** A client of whom no agent knows. */
  async stranger(i: number): Promise<RawClient> {
    const client = await RawClient.connect(this.node(i).address, APP_PORT);
    this.#clients.push(client);
    return client;
  }

  /** Asks a kit as the front-end logger does. */
  async asLogger(i: number, asked: Request): Promise<ChannelAnswer> {
    return await (await this.logger(i)).request(asked);
  }

  async logger(i: number): Promise<ChannelClient> {
    let client = this.#loggers.get(i);
    if (client === undefined) {
      const { name, address } = this.node(i);
      const peer = { name, address, port: CHANNEL_PORT };
      client = new ChannelClient({ kitKey: this.kitKey, self: 'logger-1', peer });
      this.#loggers.set(i, client);
    }
    await client.tried;
    return client;
  }

  /** The same request at the back end that takes over, with the logger's question before it. */
  async takeOver(
    i: number,
    connection: KitConnection,
    {
      number = 0,
      attempt = 1,
      from = 'backend-1',
    }: { number?: number; attempt?: number; from?: string } = {},
  ): Promise<RawClient> {
    const transaction = this.id(connection, number);
    await this.asLogger(i, { type: 'recover', connection, transaction, number, attempt, from });
    return await this.client(i, connection, { start: number, moved: true });
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const logger of this.#loggers.values()) logger.close();
    for (const i of [...this.#nodes.keys()]) await this.crash(i);
    for (const line of this.#lines.values()) line.close();
  }

  /** Of this process alone: tests run beside each other. */
  addressOf(i: number): string {
    return `127.${(process.pid >> 8) & 255}.${process.pid & 255}.${i}`;
  }
}

async function turn(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 2));
}
