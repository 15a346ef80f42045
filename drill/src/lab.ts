/** The lab that is drilled: the one that is up, or one of our own that goes down again. */
import {
  type Access,
  type BackendCommand,
  type ComponentStatus,
  type Engine,
  LabError,
  type LabStatus,
  NetnsEngine,
  type Watcher,
} from '@resplice/engines';
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
  /** Of the lab that is up, or of one to be made; if absent, the usual one. */
  readonly engine?: Engine;
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
  /** Path of the client's network namespace. */
  readonly clientNamespace: string;
  /** The balancer's administrator; undefined where no balancer of ours is. */
  readonly balancerSocket: string | undefined;
}

async function factsOf(engine: Engine, { arm, link, vip: at, components }: LabStatus): Promise<LabFacts> {
  const [client, balancer] = await Promise.all(['client-1', 'lb-1'].map(name => engine.access(name)));
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
    clientNamespace: client!.namespace,
    balancerSocket: balancer!.adminSockets.lb,
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
  #facts: LabFacts;
  readonly #wish: LabWish;
  readonly #isOurs: boolean;
  readonly #watcher: Watcher;

  /**
   * @throws LabError usage when a lab is up that is not what was asked for, or is under a fault; and what the engine's `up` throws
   */
  static async open(wish: LabWish, watcher: Watcher): Promise<DrillLab> {
    const engine = wish.engine ?? new NetnsEngine();
    const running = await engine.status();
    if (running === 'starting') {
      throw new LabError(
        'usage',
        'a lab is being brought up; try again when it is there, or: ./resplice down',
      );
    }
    if (running === undefined) {
      await bringUp(engine, wish, watcher);
      return new DrillLab(engine, wish, watcher, await factsOf(engine, await statusOf(engine)), true);
    }
    const facts = await factsOf(engine, running);
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
    this.#facts = facts;
    this.#wish = wish;
    this.#watcher = watcher;
    this.#isOurs = isOurs;
  }

  get facts(): LabFacts {
    return this.#facts;
  }

  status(): Promise<LabStatus> {
    return statusOf(this.engine);
  }

  async component(name: string): Promise<ComponentStatus> {
    const found = (await this.status()).components.find(each => each.name === name);
    if (!found) throw new Error(`the lab has no ${name} any more`);
    return found;
  }

  /** How to get at it, without the half second that `status` takes: a moment may be short. */
  access(component: string): Promise<Access> {
    return this.engine.access(component);
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
    // Its places are others.
    this.#facts = await factsOf(this.engine, await this.status());
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
