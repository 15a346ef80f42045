import { setTimeout as delay } from 'node:timers/promises';
import { formatIp, RawSender } from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';
import {
  ControlChannel,
  type Daemon,
  type Deps,
  keepAttached,
  startLiveness,
  type Target,
  Upkeep,
  withDeadline,
} from '@resplice/service-kit';
import { Backends } from './backends.ts';
import type { ProxyConfig } from './config.ts';
import { openDatapath } from './datapath.ts';
import { Dialer } from './dialer.ts';
import { Intake, isStale } from './intake.ts';
import type { Connection } from './layout.generated.ts';
import { Relay } from './relay.ts';
import { Replication } from './replication.ts';
import { Site } from './site.ts';
import { SpliceTable } from './splice-table.ts';
import { Tally } from './tally.ts';
import { Wire } from './wire.ts';

/** Probing of peers and of the back ends' agents (ARCHITECTURE §5, §6). */
const PEER_PROBE = { intervalMs: 20, misses: 3 };
const AGENT_PROBE = { intervalMs: 50, misses: 3 };
/** Largest segment on Ethernet: 1,500 bytes less the IP and TCP headers. */
const MSS = 1460;
/** Proxies' clocks differ by less (see sealed datagrams), and a death is noticed late. */
const CLOCK_MARGIN_MS = 5000;
/** A peer that does not get done with telling what it knows does not keep a proxy from starting, in ms. */
const SYNC_MS = 10_000;
/** Balancers and routers that hear it is no longer ready have turned away from a proxy by then: five rounds of their probes, in ms. */
const TURN_AWAY_MS = 100;
/** What is being set up when a proxy is stopped may take so long to be finished, in ms. */
const FINISH_MS = 1000;
/** A peer that died so long ago, in ms, is not merely out of this proxy's sight, with connections that only it knows. */
const PEER_DOUBT_MS = 60_000;
/** Connections that /status lists at most. */
const MAX_VIEWS = 1000;

/** Wires a proxy (P4.2) together. */
export async function buildProxy(config: ProxyConfig, deps: Deps): Promise<Daemon<ProxyConfig>> {
  const { key, epoch, log, metrics, fail } = deps;
  const self = { id: config.id, epoch };
  const tally = new Tally();
  const limits = { ...config.limits };
  const backends = new Backends(config.backends);
  const site = new Site(config, backends);
  /** Peers that are alive, by id. */
  const live = new Set<number>();
  const epochs = new Map<number, number>();
  /** When a peer was last found dead, wall clock in ms. */
  const diedMs = new Map<number, number>();

  const datapath = openDatapath(config, key, MSS);
  const sender = new RawSender();
  const wire = new Wire(sender, self, deriveKey(key, 'splice-syn', 16), MSS);
  const dialer = new Dialer(wire, tally, limits);
  const table: SpliceTable = new SpliceTable(datapath.splices, backends, tally, connection =>
    replication.announce({ type: 'forget', connection }),
  );
  const channel = await ControlChannel.open({
    key,
    ...self,
    address: config.middle.address,
    port: config.controlPort,
    peers: config.peers,
    counters: tally,
    log,
    onRecord: (peer, record) => replication.receive(peer, record),
  });
  const replication: Replication = new Replication({
    self: config.id,
    peers: config.peers.map(peer => peer.id),
    isLive: peer => live.has(peer),
    channel,
    store: table,
    isSettingUp: tuple => intake.isSettingUp(tuple),
    onSegment: (tuple, segment) => intake.receiveFromPeer(tuple, segment),
    tally,
  });
  const relay = new Relay({ wire, backends, table, replication, tally });
  const intake: Intake = new Intake({
    self: config.id,
    wire,
    dialer,
    site,
    replication,
    table,
    relay,
    vindicate: datapath.vindicate,
    missesPeer: () => [...diedMs].some(([id, at]) => !live.has(id) && Date.now() - at < PEER_DOUBT_MS),
    tally,
    limits,
  });

  const probePort = config.probePort;
  const peers = config.peers.map((peer): Target => ({ ...peer, port: probePort, ...PEER_PROBE }));
  const agents = config.backends.map(
    // Agents' ids are those of their hosts; a back end's own number would be a proxy's.
    ({ name, address, id }): Target => ({
      name,
      address,
      id: AGENT_ID + id,
      port: probePort,
      ...AGENT_PROBE,
    }),
  );
  const liveness = await startLiveness({
    port: probePort,
    key,
    self,
    targets: [...peers, ...agents],
    onError: fail,
  });
  liveness.onChange((target, state) => {
    const up = state.live && state.ready;
    log.info({ target: target.name, live: state.live, ready: state.ready, epoch: state.epoch }, 'liveness');
    const backend = backends.byName(target.name);
    if (backend) {
      backend.up = up;
      return;
    }
    // A peer that died, or was restarted between two probes, has forgotten what it asked and was asked.
    const known = epochs.get(target.id) === state.epoch;
    const restarted = epochs.has(target.id) && !known;
    const joined = state.live && (restarted || !live.has(target.id));
    // What a peer missed while it was dead for us, it missed from then on; entries' times are of their makers' clocks.
    const sinceMs = known ? (diedMs.get(target.id) ?? Date.now()) - CLOCK_MARGIN_MS : 0;
    epochs.set(target.id, state.epoch);
    if (state.live) live.add(target.id);
    else if (live.delete(target.id)) diedMs.set(target.id, Date.now());
    if (!state.live || restarted) {
      channel.forgetPeer(target.id);
      replication.peerDied(target.id);
    }
    if (joined) void replication.tell(target.id, sinceMs);
  });
  const told = new Map(config.peers.map(peer => [peer.id, replication.told(peer.id)]));
  // Before the first packet: a proxy that does not know its peers yet would take itself for the only one.
  await liveness.settled;
  // Before the balancers send clients: their connections are known to the peers, not here.
  const everythingTold = Promise.all([...live].map(peer => told.get(peer)));
  if (!(await withDeadline(everythingTold, SYNC_MS))) log.warn('peers have not told everything yet');

  datapath.listen({
    segment: (event, payload) => intake.receive(event, payload),
    reply: event => {
      if (isStale(event.timeNs)) tally.staleEvents++;
      else dialer.receive(event);
    },
    close: event => relay.closed(event.connection),
  });
  const upkeep = new Upkeep({ log });
  keepAttached(upkeep, config.front.device, 'ingress', datapath.front, log);
  keepAttached(upkeep, config.middle.device, 'ingress', datapath.back, log);
  liveness.setReady(true);

  liveness.publish(metrics);
  metrics.exits('packets_total', 'Packets by the exit they took in the kernel half.', datapath.counters);
  metrics.totals('events_total', 'What user space did, by kind.', ['event'], () => tally.entries());
  metrics.totals('send_errors_total', 'Packets that could not be sent, by errno.', ['errno'], () =>
    Object.entries(sender.errors).map(([errno, count]) => [{ errno }, count]),
  );
  metrics.gauge('splices', 'Connections in the splice table.', () => table.size);
  metrics.gauge('setups', 'Connections being set up.', () => intake.setups);

  const names = new Map([[config.id, config.name], ...config.peers.map(p => [p.id, p.name] as const)]);
  return {
    ready: () => upkeep.ready(),
    status: () => ({
      connections: [...table.views(MAX_VIEWS)].map(view => ({
        ...describe(view.connection),
        backend: view.backend,
        owner: names.get(view.owner) ?? `proxy ${view.owner}`,
        ageMs: Math.max(0, Date.now() - view.createdMs),
        idleMs: view.idleMs ?? null,
      })),
      backends: backends.all.map(({ name, up, active }) => ({ name, up, active })),
      ...site.status(),
      peers: config.peers.map(({ name, id }) => ({ name, live: live.has(id) })),
    }),
    reload(next) {
      site.replace(next);
      datapath.setListeners(next.listeners);
      Object.assign(limits, next.limits);
    },
    async close() {
      // On purpose it costs nobody a retransmission: others carry the connections before this one stops to listen.
      liveness.setReady(false);
      await delay(TURN_AWAY_MS);
      await withDeadline(intake.finished(), FINISH_MS);
      upkeep.close();
      intake.close();
      table.close();
      channel.close();
      await liveness.close();
      datapath.close();
      wire.close();
    },
  };
}

/** Agents are probed under their hosts' ids, which begin here. */
const AGENT_ID = 300;

function describe({ client, clientPort, vip, vipPort }: Connection) {
  return { client: `${formatIp(client)}:${clientPort}`, vip: `${formatIp(vip)}:${vipPort}` };
}
