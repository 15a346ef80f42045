/** An architecture's lab, in a place of its own, so that both are up at once and runs go from one to the other. */
import { fileURLToPath } from 'node:url';
import { flowHash, parseIp } from '@resplice/dataplane';
import { output } from '@resplice/e2e/fixtures/command.ts';
import { socketsTo } from '@resplice/e2e/fixtures/sockets.ts';
import { waitFor } from '@resplice/e2e/fixtures/wait.ts';
import type { Programs, Watcher } from '@resplice/engines';
import {
  LabError,
  type LabStatus,
  NetnsEngine,
  ownPrograms,
  type Place,
  placeNamed,
} from '@resplice/engines';
import { Database, seedDemo } from '@resplice/mailstore';
import { type Arm, applicationPort, parseLink } from '@resplice/topology';
import { Witness } from '../witness.ts';
import type { Architecture, FaultName } from './run.ts';
import { Traveller } from './traveller.ts';

const arms: Readonly<Record<Architecture, Arm>> = { traditional: 'haproxy', ours: 'resplice' };
const counts = { proxies: 2, backends: 2 } as const;

/** Everything as it is, but for the instrument at the webmail's HTTP server. */
const programs: Programs = app =>
  app === 'webmail' ? fileURLToPath(new URL('./site/main.ts', import.meta.url)) : ownPrograms(app);

/** So many small requests that every back end serves some of them, most likely. */
const PROBES = 8;
/** For servers in the proxies' place to see again that all back ends are well, ms. */
const SERVING_MS = 45_000;
const SET_UPS = 9;
/** For the outbox of a back end to be sure of a letter, ms. */
const LETTER_MS = 120_000;

/** What the balancer says of its table at /status. */
interface Table {
  readonly seed: number;
  readonly slots: readonly number[];
  readonly proxies: readonly string[];
}

function placeOf(architecture: Architecture): Place {
  return placeNamed(`resplicepaper${architecture}`);
}

function engineOf(architecture: Architecture): NetnsEngine {
  return new NetnsEngine({ place: placeOf(architecture), programs });
}

export class PaperLab {
  readonly architecture: Architecture;
  readonly origin: string;
  readonly emulator: string;
  readonly clientNamespace: string;
  readonly client: Traveller;
  readonly witness: Witness;
  readonly #place: Place;
  readonly #engine: NetnsEngine;
  readonly #vip: LabStatus['vip'];
  readonly #database: Database;
  readonly #backends: readonly string[];

  /** @param link as `up --link` takes it @throws LabError when it does not come up; nothing is left then */
  static async up(architecture: Architecture, link: string, watcher: Watcher): Promise<PaperLab> {
    const engine = engineOf(architecture);
    const arm = arms[architecture];
    // A drill that was killed may have left it.
    await engine.down();
    await engine.up(
      { arm, link: parseLink(link), site: 'webmail', backendCommand: null, ...counts },
      watcher,
    );
    try {
      const status = await statusOf(engine);
      const backends = status.components.filter(({ role }) => role === 'backend').map(({ name }) => name);
      const database = new Database({ connection: engine.database(), applicationName: 'drill' });
      await seedDemo(database);
      const { netnsPrefix } = placeOf(architecture);
      const places = backends.map(name => ({
        name,
        namespace: `/run/netns/${netnsPrefix}${name}`,
        port: applicationPort,
      }));
      const witness = await Witness.start(places);
      const client = await Traveller.start(`/run/netns/${status.client.netns}`);
      return new PaperLab(architecture, engine, status, { database, backends, witness, client });
    } catch (error) {
      await engine.down();
      throw error;
    }
  }

  private constructor(
    architecture: Architecture,
    engine: NetnsEngine,
    { vip, client, link }: LabStatus,
    made: { database: Database; backends: readonly string[]; witness: Witness; client: Traveller },
  ) {
    this.architecture = architecture;
    this.origin = new URL(vip.url).origin;
    this.emulator = link.emulator;
    this.clientNamespace = client.netns;
    this.client = made.client;
    this.witness = made.witness;
    this.#place = placeOf(architecture);
    this.#engine = engine;
    this.#vip = vip;
    this.#database = made.database;
    this.#backends = made.backends;
  }

  /** Of bare connection set-ups, one after the other, ms. */
  async setUps(): Promise<number[]> {
    const { address: host, port } = this.#vip;
    return await this.client.do('setUps', { host, port, times: SET_UPS });
  }

  /**
   * The proxy, or who stands in its place, that packets from this end of the client's meet; undefined: there is no connection.
   *
   * @param local `address:port`; null: of the connection on which something was sent last
   */
  async proxyOf(local: string | null): Promise<string | undefined> {
    const [table, socket] = await Promise.all([this.#table(), local ?? this.#lastToSend()]);
    return socket === undefined ? undefined : this.#proxyIn(table, socket);
  }

  async #table(): Promise<Table> {
    const socket = `${this.#place.runDirectory}/lb-1/lb.sock`;
    const said = await output(['curl', '-sS', '--unix-socket', socket, 'http://admin/status']);
    return (JSON.parse(said) as { table: Table }).table;
  }

  #proxyIn({ seed, slots, proxies }: Table, local: string): string {
    const [address = '', port = ''] = local.split(':');
    const hash = flowHash(parseIp(address), Number(port), parseIp(this.#vip.address), this.#vip.port, seed);
    const found = proxies[slots[hash % slots.length]!];
    if (found === undefined) throw new Error(`no proxy serves ${local}`);
    return found;
  }

  /** A browser opens some that it does not use yet. */
  async #lastToSend(): Promise<string | undefined> {
    const sockets = await socketsTo(this.clientNamespace, `${this.#vip.address}:${this.#vip.port}`);
    return sockets.filter(each => each.bytesSent > 0).sort((a, b) => a.sinceSentMs - b.sinceSentMs)[0]?.local;
  }

  /** @returns epoch ms when it had taken effect */
  async strike(fault: Exclude<FaultName, 'none'>, target: string): Promise<number> {
    const kind = fault.endsWith('-crash') ? 'crash' : 'cut';
    return (await this.#engine[kind](target)).at;
  }

  /** Why the target is not what the fault makes of it; null: it is. */
  async notFired(target: string): Promise<string | null> {
    const { components } = await statusOf(this.#engine);
    const found = components.find(({ name }) => name === target);
    if (!found) return `the lab has no ${target} any more`;
    return found.state === 'up' ? `${target} is up in spite of its fault` : null;
  }

  /** Undoes every fault; returns when every new connection is served, and every back end serves some. @throws Error */
  async heal(): Promise<void> {
    await this.#engine.heal();
    await this.settle();
  }

  async settle(): Promise<void> {
    await waitFor(`all of ${this.architecture}'s back ends to serve`, SERVING_MS, async () => {
      const served = await this.client.do('servers', { origin: this.origin, times: PROBES });
      return this.#backends.every(name => served.includes(name));
    });
    await this.witness.settled();
  }

  /**
   * How often the letter of this subject is in inboxes, when it is no longer on its way: what a failed back end had begun, it or
   * another one brings to an end.
   */
  async letters(subject: string): Promise<number> {
    await waitFor(`the letter "${subject}" to be no longer on its way`, LETTER_MS, async () => {
      const waiting = await this.#database.query(
        "select 1 from messages where folder = 'sent' and subject = $1 and state = 'sending'",
        [subject],
      );
      return waiting.length === 0;
    });
    const rows = await this.#database.query<{ count: string }>(
      "select count(*) from messages where folder = 'inbox' and subject = $1",
      [subject],
    );
    return Number(rows[0]!.count);
  }

  async down(): Promise<void> {
    await this.client.stop();
    await this.witness.stop();
    await this.#database.close();
    await this.#engine.down();
  }

  /** Leaves nothing of any, whatever is there. */
  static async sweep(): Promise<void> {
    for (const architecture of Object.keys(arms) as Architecture[]) await engineOf(architecture).down();
  }
}

async function statusOf(engine: NetnsEngine): Promise<LabStatus> {
  const status = await engine.status();
  if (status === undefined || status === 'starting') {
    throw new LabError('not-up', 'the lab was taken down during the drill');
  }
  return status;
}
