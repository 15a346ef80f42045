import { parseIp } from '@resplice/dataplane';

/** Where an application listens. */
export interface BackendConfig {
  name: string;
  id: number;
  /** Dotted. */
  address: string;
  port: number;
}

/** Agents are probed under their hosts' ids, which begin here; a back end's own number would be a proxy's. */
const AGENT_ID = 300;

/** Whom to probe, to know whether back ends live. */
export function agentsOf(
  backends: readonly BackendConfig[],
): { name: string; id: number; address: string }[] {
  return backends.map(({ name, id, address }) => ({ name, id: AGENT_ID + id, address }));
}

export interface Backend {
  readonly name: string;
  readonly id: number;
  /** Host order. */
  readonly address: number;
  readonly port: number;
  /** Its agent answers and its application accepts. */
  up: boolean;
  /** Open connections that are known of, those of others included. */
  active: number;
}

/** All back ends of the deployment; pools are made of them. */
export class Backends {
  readonly all: readonly Backend[];
  readonly #byId = new Map<number, Backend>();

  constructor(configs: readonly BackendConfig[]) {
    this.all = configs.map(({ name, id, address, port }) => ({
      name,
      id,
      address: parseIp(address),
      port,
      up: false,
      active: 0,
    }));
    for (const backend of this.all) this.#byId.set(backend.id, backend);
  }

  byId(id: number): Backend | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): Backend | undefined {
    return this.all.find(backend => backend.name === name);
  }
}
