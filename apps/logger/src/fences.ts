import { BpfMap, type BpfObject, neighbours, parseIp } from '@resplice/dataplane';
import type { Log, PeerConfig } from '@resplice/service-kit';
import type { FenceState, FenceStore } from './arbiter.ts';
import {
  type Fence,
  fence as fenceLayout,
  type Station,
  station as stationLayout,
} from './layout.generated.ts';

/**
 * The fences in the kernel half: a sender's link-layer address, because what proxies relay bears clients' addresses. The map is
 * pinned: a daemon that starts over finds the fences in force.
 */
export class Fences implements FenceStore {
  readonly all = new Map<number, FenceState & { readonly sinceNs: bigint }>();
  readonly #proxies: ReadonlyMap<number, PeerConfig>;
  readonly #device: string;
  readonly #onCount: (fences: number) => void;
  readonly #map: BpfMap<Station, Fence>;
  readonly #log: Log;
  /** As last seen: that of a machine which is gone is soon forgotten by the kernel. */
  readonly #macs = new Map<number, readonly number[]>();

  /** @param options.onCount told how many fences the kernel half has to look for; without one it looks at nobody */
  constructor(options: {
    object: BpfObject;
    device: string;
    proxies: readonly PeerConfig[];
    log: Log;
    onCount: (fences: number) => void;
  }) {
    this.#onCount = options.onCount;
    this.#device = options.device;
    this.#proxies = new Map(options.proxies.map(proxy => [proxy.id, proxy]));
    this.#map = new BpfMap(options.object.map('fences'), stationLayout, fenceLayout);
    this.#log = options.log;
    for (const [{ mac }, { proxy, epoch, generation, sinceNs }] of this.#map.entries()) {
      this.all.set(proxy, { epoch, generation, sinceNs });
      this.#macs.set(proxy, mac);
    }
  }

  raise(proxy: number, fence: FenceState): void {
    const known = this.all.get(proxy);
    const sinceNs = known?.epoch === fence.epoch ? known.sinceNs : process.hrtime.bigint();
    this.all.set(proxy, { ...fence, sinceNs });
    this.#log.warn({ proxy: this.#proxies.get(proxy)?.name, ...fence }, 'fenced');
    this.look();
  }

  lift(proxy: number): void {
    this.all.delete(proxy);
    this.#log.info({ proxy: this.#proxies.get(proxy)?.name }, 'fence lifted');
    this.look();
  }

  /** Makes the kernel half what `all` says; for the upkeep too, since a proxy may show its link-layer address only later. */
  look(): void {
    this.#learn();
    for (const [station, { proxy }] of [...this.#map.entries()]) {
      if (!this.all.has(proxy) || !isSame(station.mac, this.#macs.get(proxy))) this.#map.delete(station);
    }
    for (const [proxy, { epoch, generation, sinceNs }] of this.all) {
      const mac = this.#macs.get(proxy);
      const config = this.#proxies.get(proxy);
      // Never seen: it has never sent anything through here.
      if (mac && config)
        this.#map.set({ mac }, { address: parseIp(config.address), epoch, generation, proxy, sinceNs });
    }
    this.#onCount(this.all.size);
  }

  #learn(): void {
    const seen = neighbours(this.#device);
    for (const { id, address } of this.#proxies.values()) {
      const mac = seen.get(address);
      if (mac) this.#macs.set(id, mac);
    }
  }
}

function isSame(a: readonly number[], b: readonly number[] | undefined): boolean {
  return b !== undefined && a.every((byte, i) => byte === b[i]);
}
