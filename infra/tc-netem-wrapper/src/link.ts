import { randomInt } from 'node:crypto';
import {
  type Backend,
  devicesNamed,
  type EmulatorName,
  type LinkCounters,
  type OwnDevices,
  type Site,
} from './backend.ts';
import { Namespace, OwnNamespace } from './namespace.ts';
import { checkShape, type Shape, type ShapeInput } from './shape.ts';
import { netemSupport } from './support.ts';
import { TapEmulator } from './tap-emulator.ts';
import { TcNetem } from './tc-netem.ts';

export interface LinkOptions {
  readonly shape: ShapeInput;
  /** 1…2^31−1; without it one is drawn. Tells which packets are lost, doubled, overtake. */
  readonly seed?: number;
  /** Without it, tc netem where the kernel has it, else TAP devices. */
  readonly emulator?: EmulatorName;
  /** Begins the names of the link's own devices; at most nine characters, `link` if absent. */
  readonly tag?: string;
}

/** Between two devices of one namespace, which carry nothing else then; each is typically a veth's end. */
export interface BetweenDevices extends LinkOptions {
  /** Path of the namespace (`/run/netns/…`); without it, the process's own. */
  readonly namespace?: string;
  readonly near: string;
  readonly far: string;
}

/** On a bridge's port: what comes in there is near, the bridge is far. */
export interface OnPort extends LinkOptions {
  readonly namespace?: string;
  readonly port: string;
}

export interface LinkEnd {
  /** Path of the host's namespace. */
  readonly namespace: string;
  /** The device that is made there; to be given an address by the caller. */
  readonly device: string;
}

/** Between two hosts: makes a device in each. */
export interface BetweenHosts extends LinkOptions {
  readonly near: LinkEnd;
  readonly far: LinkEnd;
}

export interface Link {
  readonly emulator: EmulatorName;
  /** Null where the kernel rolls its own dice (before Linux 6.7). */
  readonly seed: number | null;
  readonly shape: Shape;
  /** What is under way keeps its times. @throws ShapeError */
  change(shape: ShapeInput): Promise<void>;
  /** Since the link was put there. */
  counters(): Promise<LinkCounters>;
  /** Takes the link away; between two devices, they are as they were before. Repeating it is harmless. */
  remove(): Promise<void>;
  /** Rejects when the link has died by itself: nothing gets through any more. Never resolves. */
  readonly died: Promise<never>;
}

const gone = /Cannot find device|No such/;

type Undo = () => Promise<void>;

class StandingLink implements Link {
  readonly emulator: EmulatorName;
  readonly seed: number | null;
  readonly died: Promise<never>;
  shape: Shape;
  readonly #backend: Backend;
  readonly #undo: Undo;
  #removed = false;

  constructor(backend: Backend, shape: Shape, undo: Undo) {
    this.emulator = backend.name;
    this.seed = backend.seed;
    this.died = backend.died;
    this.shape = shape;
    this.#backend = backend;
    this.#undo = undo;
  }

  async change(input: ShapeInput): Promise<void> {
    const shape = checkShape(input);
    await this.#backend.change(shape);
    this.shape = shape;
  }

  counters(): Promise<LinkCounters> {
    return this.#backend.counters();
  }

  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    await this.#backend.stop();
    await this.#undo();
  }
}

function requireSeed(seed: number): number {
  if (Number.isInteger(seed) && seed >= 1 && seed < 2 ** 31) return seed;
  throw new RangeError('seed: must be a whole number within 1…2147483647');
}

/** What a killed process left of a link with these names: its devices, not those that it joined. */
async function sweep(namespace: Namespace, own: OwnDevices): Promise<void> {
  const { nearBridge, farBridge, middleBridge, a, b } = own;
  const lines = [nearBridge, farBridge, middleBridge, a, b].map(each => `link del ${each}`);
  await namespace.batch('ip', lines, { tolerate: gone });
}

async function join(
  namespace: Namespace,
  near: string,
  far: string,
  options: LinkOptions,
  undo: Undo,
): Promise<Link> {
  const shape = checkShape(options.shape);
  const seed = requireSeed(options.seed ?? randomInt(1, 2 ** 31 - 1));
  const own = devicesNamed(options.tag ?? 'link');
  await sweep(namespace, own);
  const bridges = [own.nearBridge, own.farBridge];
  const takeAway = async (): Promise<void> => {
    await namespace.batch(
      'ip',
      bridges.map(each => `link del ${each}`),
      { tolerate: gone },
    );
    await undo();
  };
  try {
    const listed = JSON.parse(await namespace.run('ip', ['-j', 'link', 'show', near])) as [{ mtu: number }];
    const site: Site = { near, far, own, mtu: listed[0].mtu };
    await namespace.batch(
      'ip',
      bridges.map(each => `link add ${each} type bridge stp_state 0 mcast_snooping 0`),
    );
    await namespace.silence([...bridges, near, far]);
    await namespace.batch('ip', [
      ...bridges.map(each => `link set ${each} up`),
      `link set ${near} master ${own.nearBridge} up`,
      `link set ${far} master ${own.farBridge} up`,
    ]);
    return new StandingLink(await start(namespace, site, shape, seed, options.emulator), shape, takeAway);
  } catch (error) {
    await takeAway();
    throw error;
  }
}

async function start(
  namespace: Namespace,
  site: Site,
  shape: Shape,
  seed: number,
  wanted: EmulatorName | undefined,
): Promise<Backend> {
  if (wanted === 'tap') return TapEmulator.start(namespace, site, shape, seed);
  const { netem, seeded } = await netemSupport(namespace);
  if (netem) return TcNetem.start(namespace, site, shape, seeded ? seed : undefined);
  if (wanted === undefined) return TapEmulator.start(namespace, site, shape, seed);
  throw new Error(
    'this kernel has no tc netem (CONFIG_NET_SCH_NETEM), not as a module either: use the emulator "tap"',
  );
}

async function betweenHosts({ near, far, ...options }: BetweenHosts): Promise<Link> {
  checkShape(options.shape);
  const own = await OwnNamespace.make();
  const ends = [
    ['near', near],
    ['far', far],
  ] as const;
  try {
    for (const [name, { namespace, device }] of ends) {
      await new Namespace(namespace).batch('ip', [
        `link add ${device} type veth peer name ${name} netns ${own.pid}`,
      ]);
    }
    return await join(own, 'near', 'far', options, async () => {
      // With the namespace they would go as well, but a little later.
      await own.batch('ip', ['link del near', 'link del far'], { tolerate: gone });
      await own.remove();
    });
  } catch (error) {
    await own.remove();
    throw error;
  }
}

/** The bridge of a port; or, if a killed process left a link on it, the bridge that it was taken out of. */
async function bridgeOf(namespace: Namespace, port: string, own: OwnDevices): Promise<string> {
  const listed = JSON.parse(await namespace.run('ip', ['-j', 'link', 'show'])) as {
    ifname: string;
    master?: string;
  }[];
  const masterOf = (device: string) => listed.find(each => each.ifname === device)?.master;
  const master = masterOf(port);
  const bridge = master === own.nearBridge || master === undefined ? masterOf(own.portOutside) : master;
  if (bridge === undefined) throw new Error(`${port}: is no port of a bridge`);
  return bridge;
}

async function onPort({ namespace: path, port, ...options }: OnPort): Promise<Link> {
  checkShape(options.shape);
  const namespace = new Namespace(path);
  const own = devicesNamed(options.tag ?? 'link');
  const bridge = await bridgeOf(namespace, port, own);
  await namespace.batch('ip', [`link del ${own.portOutside}`], { tolerate: gone });
  await namespace.batch('ip', [`link add ${own.portOutside} type veth peer name ${own.portInside}`]);
  await namespace.silence([own.portOutside]);
  await namespace.batch('ip', [`link set ${own.portOutside} master ${bridge} up`]);
  return join(namespace, port, own.portInside, options, async () => {
    await namespace.batch('ip', [`link set ${port} master ${bridge}`, `link del ${own.portOutside}`], {
      tolerate: gone,
    });
  });
}

/**
 * Puts an emulated link somewhere. When the process dies, a link between hosts vanishes with its devices; one
 * between devices or on a port is dead if it was emulated here, and goes on if the kernel does it. Putting a link of
 * the same tag there again takes the remains away.
 *
 * @throws ShapeError, RangeError for wrong options; Error with the words of ip or tc
 */
export function putLink(options: BetweenDevices | OnPort | BetweenHosts): Promise<Link> {
  if ('port' in options) return onPort(options);
  const { near, far } = options;
  if (typeof near === 'object') return betweenHosts(options as BetweenHosts);
  const { namespace, ...rest } = options as BetweenDevices;
  return join(new Namespace(namespace), near, far as string, rest, async () => {});
}
