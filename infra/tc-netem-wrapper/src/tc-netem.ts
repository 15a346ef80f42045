import type { Backend, LinkCounters, Site } from './backend.ts';
import type { LineCounters } from './delay-line.ts';
import type { Namespace } from './namespace.ts';
import type { Direction, Shape } from './shape.ts';

/** Stands for "no limit": a full packet takes 121 ns. Left out, an earlier rate would stay. */
const NO_LIMIT = 100_000_000_000;
/** Packets under way; tc netem wants some bound. */
const UNDER_WAY = 100_000;
/** A token bucket must hold one packet; more than this would let a burst through. */
const BUCKET_MS = 1;

function percent(share: number): string {
  return `${Number(share.toFixed(6))}%`;
}

function milliseconds(ms: number): string {
  return `${Math.round(ms * 1000)}us`;
}

/**
 * First discipline: the narrow place and the queue before it. netem's own rate counts packets and delays each by the
 * time that it takes; tbf counts bytes, but lets what fits its bucket pass at once.
 */
export function narrowPlace({ rate, queue }: Direction, mtu: number): string {
  if (rate === null) return `netem limit ${UNDER_WAY} rate ${NO_LIMIT}bit`;
  if ('packets' in queue) return `netem limit ${queue.packets} rate ${Math.round(rate)}bit`;
  const bucket = Math.max(mtu + 18, Math.round((rate / 8000) * BUCKET_MS));
  return `tbf rate ${Math.round(rate)}bit burst ${bucket} limit ${queue.bytes}`;
}

/** Second discipline: the line behind it. With a rate, netem keeps the order in spite of jitter. */
export function longLine({ delay, jitter, loss, reorder, duplicate }: Direction, seed?: number): string {
  const parts = [`netem limit ${UNDER_WAY} delay ${milliseconds(delay)} ${milliseconds(jitter)}`];
  parts.push(`loss ${percent(loss)} duplicate ${percent(duplicate)}`);
  if (reorder > 0) parts.push(`reorder ${percent(reorder)}`);
  parts.push(`rate ${NO_LIMIT}bit`);
  if (seed !== undefined) parts.push(`seed ${seed}`);
  return parts.join(' ');
}

interface QdiscStatistics {
  readonly root?: boolean;
  readonly packets: number;
  readonly bytes: number;
  readonly drops: number;
  readonly qlen: number;
}

/**
 * The kernel's own emulation. A direction has two disciplines one behind the other, since the queue before a narrow
 * place must not count what is under way behind it; they hang on two devices, because one inside the other would.
 * The veth pairs between also cut what the kernel has glued together (GSO) into packets, before anything counts them.
 */
export class TcNetem implements Backend {
  readonly name = 'tc-netem';
  readonly seed: number | null;
  readonly died: Promise<never> = new Promise(() => {});
  readonly #namespace: Namespace;
  readonly #site: Site;

  /** @param seed undefined where this kernel or its tc cannot repeat a run */
  static async start(
    namespace: Namespace,
    site: Site,
    shape: Shape,
    seed: number | undefined,
  ): Promise<TcNetem> {
    const { own, mtu } = site;
    const pair = (outside: string, inside: string, bridge: string) => [
      `link set ${outside} gso_max_segs 1`,
      `link set ${outside} master ${bridge} up`,
      `link set ${inside} master ${own.middleBridge} up`,
    ];
    const netem = new TcNetem(namespace, site, seed);
    try {
      await namespace.batch('ip', [
        `link add ${own.middleBridge} type bridge stp_state 0 mcast_snooping 0`,
        `link add ${own.a} mtu ${mtu} type veth peer name ${own.aInside} mtu ${mtu}`,
        `link add ${own.b} mtu ${mtu} type veth peer name ${own.bInside} mtu ${mtu}`,
      ]);
      await namespace.silence([own.middleBridge, own.a, own.aInside, own.b, own.bInside]);
      await namespace.batch('ip', [
        `link set ${own.middleBridge} up`,
        ...pair(own.a, own.aInside, own.nearBridge),
        ...pair(own.b, own.bInside, own.farBridge),
      ]);
      await netem.change(shape);
      return netem;
    } catch (error) {
      await netem.stop();
      throw error;
    }
  }

  private constructor(namespace: Namespace, site: Site, seed: number | undefined) {
    this.#namespace = namespace;
    this.#site = site;
    this.seed = seed ?? null;
  }

  async change({ there, back }: Shape): Promise<void> {
    const { near, far, own, mtu } = this.#site;
    const seed = this.seed ?? undefined;
    await this.#namespace.batch('tc', [
      `qdisc replace dev ${own.bInside} root ${narrowPlace(there, mtu)}`,
      `qdisc replace dev ${far} root ${longLine(there, seed)}`,
      `qdisc replace dev ${own.aInside} root ${narrowPlace(back, mtu)}`,
      `qdisc replace dev ${near} root ${longLine(back, seed && seed ^ 1)}`,
    ]);
  }

  async counters(): Promise<LinkCounters> {
    const { near, far, own } = this.#site;
    return { there: await this.#count(own.bInside, far), back: await this.#count(own.aInside, near) };
  }

  async stop(): Promise<void> {
    const { near, far, own } = this.#site;
    const gone = /Cannot find device|No such|handle of zero|Invalid handle/;
    await this.#namespace.batch(
      'tc',
      [near, far].map(each => `qdisc del dev ${each} root`),
      { tolerate: gone },
    );
    const left = [own.a, own.b, own.middleBridge].map(each => `link del ${each}`);
    await this.#namespace.batch('ip', left, { tolerate: gone });
  }

  async #statistics(device: string): Promise<QdiscStatistics> {
    const listed = JSON.parse(await this.#namespace.run('tc', ['-s', '-j', 'qdisc', 'show', 'dev', device]));
    return (listed as QdiscStatistics[]).find(each => each.root)!;
  }

  async #count(narrow: string, line: string): Promise<LineCounters> {
    const [queue, wire] = await Promise.all([this.#statistics(narrow), this.#statistics(line)]);
    return {
      offered: queue.packets + queue.drops + queue.qlen,
      delivered: wire.packets,
      deliveredBytes: wire.bytes,
      droppedByQueue: queue.drops,
      droppedByLoss: wire.drops,
    };
  }
}
