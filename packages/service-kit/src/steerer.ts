// A daemon that steers packets to the live proxies: the balancer towards them, the logger back to the clients. One loads this
// program at that device, the other another one; the rest is the same.

import { type BpfObject, Counters, type LoadOptions, loadObject } from '@resplice/dataplane';
import type { Pages } from './admin.ts';
import { keepAttached } from './attachment.ts';
import type { Daemon, Deps } from './daemon.ts';
import { writeListeners } from './listeners.ts';
import { type Liveness, startLiveness } from './liveness.ts';
import { ProxyWatch } from './proxy-watch.ts';
import type { DaemonConfig, ProbeConfig } from './schema.ts';
import { Steering, type SteeringLayouts, type SteeringMember, type SteeringMode } from './steering.ts';
import { Upkeep } from './upkeep.ts';

/** What balancer and logger have in their configurations alike. */
export interface SteererConfig extends DaemonConfig {
  vips: readonly { address: string; port: number }[];
  proxies: SteeringMember[];
  steering: SteeringMode;
  probePort: number;
  probe: ProbeConfig;
}

export interface SteererParts<C extends SteererConfig = SteererConfig> {
  /** Path of the BPF object; it has the maps `counters`, `listeners`, `steering` and `next_hops`. */
  objectPath: string;
  program: string;
  /** Where the packets come in. */
  ingress: string;
  /** Towards the proxies. */
  towards: string;
  /** What the code generator makes of the C types. */
  layouts: SteeringLayouts & {
    listenerKey: Parameters<typeof writeListeners>[1];
    exitNames: readonly string[];
  };
  /** Maps that outlive every build (see LoadOptions). */
  state?: readonly string[];
  /** Maps that builds with the same layouts have in common (see LoadOptions). */
  shared?: NonNullable<LoadOptions['shared']>;
  /** Sizes of maps that the configuration sets. */
  maxEntries?: Readonly<Record<string, number>>;
  /** Whom the daemon probes beside the proxies. */
  others?: readonly { name: string; id: number; address: string }[];
  /** What else the daemon does; called when the proxies have been probed, before `program` is attached. */
  extend?(tools: { object: BpfObject; liveness: Liveness; upkeep: Upkeep }): Promise<Extension<C>>;
}

/** @typeParam C the daemon's configuration */
export interface Extension<C = SteererConfig> {
  /** Fields of /status. */
  status(): object;
  /** Pages of the admin server. */
  pages?: Pages;
  /** Called once, when `program` is attached too. */
  attached?(): void;
  /** Takes a changed configuration over (see Daemon). */
  reload?(config: C): void;
  close(): void | Promise<void>;
}

/** Wires such a daemon. */
export async function buildSteerer<C extends SteererConfig>(
  config: C,
  { log, metrics, key, epoch }: Deps,
  {
    objectPath,
    program,
    ingress,
    towards,
    layouts,
    state = [],
    shared,
    maxEntries = {},
    others = [],
    extend,
  }: SteererParts<C>,
): Promise<Daemon<C>> {
  const { pinDirectory } = config;
  const object = loadObject(objectPath, { pinDirectory, state: ['listeners', ...state], shared, maxEntries });
  metrics.exits(
    'packets_total',
    `Packets by exit of ${program}.`,
    new Counters(object.map('counters'), layouts.exitNames),
  );
  const steering = new Steering({
    object,
    layouts,
    members: config.proxies,
    device: towards,
    mode: config.steering,
    key,
  });
  const upkeep = new Upkeep({ log });
  // Every map is filled before the program is attached: no packet meets half a configuration.
  writeListeners(object, layouts.listenerKey, config.vips);
  upkeep.add('next hops', () => steering.writeNextHops());

  const liveness = await startLiveness({
    port: config.probePort,
    key,
    self: { id: config.id, epoch },
    targets: [...config.proxies, ...others].map(({ name, id, address }) => ({
      ...{ name, id, address },
      port: config.probePort,
      ...config.probe,
    })),
  });
  const watch = new ProxyWatch({
    ...{ liveness, steering, log, metrics },
    proxies: config.proxies.map(({ name }) => name),
  });
  await watch.begin();
  const extension = await extend?.({ object, liveness, upkeep });
  // Another build begins with an empty table: until it is filled, the former program steers by its own.
  keepAttached(upkeep, ingress, 'ingress', object.program(program), log);
  extension?.attached?.();
  liveness.setReady(true);

  return {
    ready() {
      const kept = upkeep.ready();
      return kept === true ? watch.ready() : kept;
    },
    status: () => ({ ...watch.status(), ...extension?.status() }),
    pages: extension?.pages ?? {},
    reload(next) {
      writeListeners(object, layouts.listenerKey, next.vips);
      extension?.reload?.(next);
    },
    async close() {
      upkeep.close();
      await extension?.close();
      await liveness.close();
      object.close();
    },
  };
}
