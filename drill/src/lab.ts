/** The lab that is drilled: the one that is up, or one of our own that goes down again. */
import { readFileSync } from 'node:fs';
import type { BackendCommand, ComponentStatus, Engine, LabStatus, Watcher } from '@resplice/engines';
import { LabError, labPlace, NetnsEngine } from '@resplice/engines';
import {
  type Arm,
  applicationPort,
  type ClientLink,
  lan,
  parseLink,
  type SiteName,
  vip,
} from '@resplice/topology';

/** What was asked for; a lab that is up already need only agree with what is not undefined. */
export interface LabWish {
  readonly arm: Arm | undefined;
  readonly link: ClientLink | undefined;
  readonly proxies: number | undefined;
  readonly backends: number | undefined;
  readonly backendCommand: BackendCommand | undefined;
  /** Of our own ones; `demo` for a lab that is made. */
  readonly site?: 'webmail' | 'demo';
}

export interface LabFacts {
  readonly arm: Arm;
  readonly link: ClientLink;
  readonly proxies: readonly string[];
  readonly backends: readonly string[];
  /** What stands between them, be it the router or the front-end logger in its place. */
  readonly between: string;
  /** `demo` tells what it does; the others do not. */
  readonly site: SiteName;
  /** Where the site listens on each back end. */
  readonly port: number;
  readonly vip: LabStatus['vip'];
  /** Name under /run/netns of the client's place. */
  readonly clientNamespace: string;
}

function factsOf({ arm, link, vip: at, client, components }: LabStatus): LabFacts {
  const named = (role: string): ComponentStatus[] => components.filter(each => each.role === role);
  const serves = (process: string) => named('backend').every(({ processes }) => process in processes);
  return {
    arm,
    link: parseLink(link.name),
    proxies: named('proxy').map(({ name }) => name),
    backends: named('backend').map(({ name }) => name),
    between: [...named('logger'), ...named('router')][0]!.name,
    site: serves('demo') ? 'demo' : serves('webmail') ? 'webmail' : 'command',
    port: arm === 'forward' ? vip.port : applicationPort,
    vip: at,
    clientNamespace: client.netns,
  };
}

/** What the lab is and what was asked for, where they differ. */
function differences(facts: LabFacts, wish: LabWish): string[] {
  const pairs: [string, unknown, unknown][] = [
    ['--arm', facts.arm, wish.arm],
    ['--link', facts.link.name, wish.link?.name],
    ['--proxies', facts.proxies.length, wish.proxies],
    ['--backends', facts.backends.length, wish.backends],
    ['--site', facts.site === 'command' ? 'of its own' : facts.site, wish.site],
  ];
  const differing = pairs
    .filter(([, is, asked]) => asked !== undefined && asked !== is)
    .map(([flag, is]) => `${flag} ${is}`);
  return wish.backendCommand ? [...differing, 'its own site'] : differing;
}

const defaults = { proxies: 2, backends: 2 } as const;

export class DrillLab {
  readonly engine: Engine;
  readonly facts: LabFacts;
  readonly #wish: LabWish;
  readonly #isOurs: boolean;
  readonly #watcher: Watcher;

  /**
   * @throws LabError usage when a lab is up that is not what was asked for, or is under a fault; and what the engine's `up` throws
   */
  static async open(wish: LabWish, watcher: Watcher): Promise<DrillLab> {
    const engine = new NetnsEngine();
    const running = await engine.status();
    if (running === 'starting') {
      throw new LabError(
        'usage',
        'a lab is being brought up; try again when it is there, or: ./resplice down',
      );
    }
    if (running === undefined) {
      await bringUp(engine, wish, watcher);
      return new DrillLab(engine, wish, watcher, factsOf(await statusOf(engine)), true);
    }
    const facts = factsOf(running);
    const differing = differences(facts, wish);
    if (differing.length > 0) {
      throw new LabError('usage', `the lab that is up has ${differing.join(', ')}; first: ./resplice down`);
    }
    const broken = running.components.filter(each => each.faults.length > 0).map(({ name }) => name);
    if (broken.length > 0) {
      throw new LabError('usage', `${broken.join(', ')}: under a fault; first: ./resplice fault heal`);
    }
    return new DrillLab(engine, wish, watcher, facts, false);
  }

  private constructor(engine: Engine, wish: LabWish, watcher: Watcher, facts: LabFacts, isOurs: boolean) {
    this.engine = engine;
    this.facts = facts;
    this.#wish = wish;
    this.#watcher = watcher;
    this.#isOurs = isOurs;
  }

  status(): Promise<LabStatus> {
    return statusOf(this.engine);
  }

  async component(name: string): Promise<ComponentStatus> {
    const found = (await this.status()).components.find(each => each.name === name);
    if (!found) throw new Error(`the lab has no ${name} any more`);
    return found;
  }

  /** The processes that the lab has started there, without the half second that `status` takes: a moment may be short. */
  processesOf(component: string): number[] {
    const { processes } = JSON.parse(readFileSync(labPlace.labFile, 'utf8')) as {
      processes: Record<string, Record<string, { pid: number }>>;
    };
    return Object.values(processes[component] ?? {}).map(({ pid }) => pid);
  }

  /** Undoes every fault; returns when healthy. @throws LabError unhealthy */
  async heal(): Promise<void> {
    const { signal } = this.#watcher;
    await this.engine.heal(undefined, signal ? { signal } : {});
  }

  /** Makes a lab of our own anew. @param why it has to be; thrown when the lab is not ours */
  async renew(why: Error): Promise<void> {
    if (!this.#isOurs) throw why;
    this.#watcher.progress?.(`making the lab anew: ${why.message}`);
    const { signal } = this.#watcher;
    await this.engine.down();
    await bringUp(this.engine, this.#wish, signal ? { signal } : {});
  }

  /** Takes a lab of our own down; leaves another one healed. */
  async close(): Promise<void> {
    if (this.#isOurs) await this.engine.down();
    else await this.engine.heal();
  }
}

async function bringUp(
  engine: Engine,
  { arm = 'resplice', link = lan, backendCommand, site = 'demo', ...counts }: LabWish,
  watcher: Watcher,
): Promise<void> {
  const { proxies = defaults.proxies, backends = defaults.backends } = counts;
  await engine.up({ arm, link, proxies, backends, site, backendCommand: backendCommand ?? null }, watcher);
}

async function statusOf(engine: Engine): Promise<LabStatus> {
  const status = await engine.status();
  if (status === undefined || status === 'starting') {
    throw new LabError('not-up', 'the lab was taken down during the drill');
  }
  return status;
}
