import {
  absolutePath,
  addressedDevice,
  componentName,
  daemonFields,
  distinct,
  id,
  ipAddress,
  peer,
  port,
} from '@resplice/service-kit';
import { backendsOf, listenerSchema, poolSchema, refusals } from '@resplice/site-config';
import { z } from 'zod';
import { limits } from './limits.ts';

const backend = z.strictObject({ name: componentName, id, address: ipAddress, port });

/** A listener of the site file, and the VIP that it belongs to. */
const listener = listenerSchema.extend({ address: ipAddress });

export const proxyConfig = z
  .strictObject({
    ...daemonFields,
    front: addressedDevice,
    /** Its address is where peers and back ends reach this proxy. */
    middle: addressedDevice,
    listeners: distinct(listener, 'name').min(1).max(100),
    pools: z.record(z.string(), poolSchema),
    peers: distinct(peer, 'name', 'id', 'address'),
    /** Whose packets come in by `front`; probed, to know whether the answers would reach them. */
    balancers: distinct(peer, 'name', 'id', 'address').default([]),
    /** Who decides which proxies go on when they no longer hear each other. Without one, each side goes on by itself. */
    logger: peer.optional(),
    backends: distinct(backend, 'name', 'id', 'address').min(1),
    /** UDP port of the records between proxies, the same on every proxy. */
    controlPort: port,
    /** UDP port of liveness probes, the same on every host. */
    probePort: port,
    /** Of the narrowest link between clients and back ends, bytes; the front and middle devices' own are read from them. */
    mtu: z.int().min(576).max(9000).default(1500),
    /** Spliced connections held at most; the least recently used is forgotten first. */
    maxConnections: z.int().min(1024).max(16_777_216).default(262_144),
    limits: limits.prefault({}),
    /** Clients' packets are to take other proxies. */
    draining: z.boolean().default(false),
    /** Where tests put files that stop this process at a point of a set-up; nowhere if absent. */
    breakpoints: absolutePath.optional(),
  })
  .superRefine(({ listeners, pools, backends, logger }, context) => {
    const add = (path: PropertyKey[], message: string) => context.addIssue({ code: 'custom', path, message });
    const taken = new Set<string>();
    for (const [index, each] of listeners.entries()) {
      const path = ['listeners', index];
      const endpoint = `${each.address}:${each.port}`;
      if (taken.has(endpoint)) add([...path, 'port'], `${endpoint} is another listener's too`);
      taken.add(endpoint);
      if ((each.pool === undefined) === (each.routes === undefined)) add(path, 'must have a pool or routes');
      const wanted = [each.pool, ...(each.routes ?? []).map(route => route.pool)];
      for (const name of wanted)
        if (name !== undefined && !Object.hasOwn(pools, name)) add(path, `there is no pool ${name}`);
      // Only a logger reads the heads of later requests: without one, rules for each request could not be enforced.
      if (!logger)
        for (const finding of refusals(each, path, 'none runs here'))
          add([...finding.path], finding.sentence);
    }
    const names = backends.map(each => each.name);
    for (const [name, pool] of Object.entries(pools))
      for (const member of backendsOf(pool, names))
        if (!names.includes(member)) add(['pools', name, 'backends'], `there is no back end ${member}`);
  });

export type ProxyConfig = z.infer<typeof proxyConfig>;
export type BackendConfig = ProxyConfig['backends'][number];
