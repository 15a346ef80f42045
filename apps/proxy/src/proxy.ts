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
import { BcryptThread } from '@resplice/site-config';
import { agentsOf, Backends, Dialer, Wire } from '@resplice/splice';
import { Breakpoints } from './breakpoints.ts';
import type { ProxyConfig } from './config.ts';
import { openDatapath } from './datapath.ts';
import { Budget } from './held-bytes.ts';
import { Intake, isStale } from './intake.ts';
import type { Connection } from './layout.generated.ts';
import { Membership } from './membership.ts';
import { Outlook } from './outlook.ts';
import { Relay } from './relay.ts';
import { Replayer } from './replayer.ts';
import { Replication } from './replication.ts';
import { SegmentSize } from './segment-size.ts';
import { Site } from './site.ts';
import { SpliceTable } from './splice-table.ts';
import { StoredHeads } from './stored-heads.ts';
import { Tally } from './tally.ts';

/** Probing of peers, balancers, the logger and the back ends' agents (ARCHITECTURE §5, §6). */
const PROBE = { intervalMs: 20, misses: 3 };
/** Stopped for so long a proxy may be dead for its peers, whose verdict takes as many ms. */
const LAPSE_MS = 60;
/** Between two looks whether peers are better off, besides those at each news, in ms. */
const ASSESS_MS = 100;
/** Balancers and loggers that hear it is no longer ready have turned away from a proxy by then: five rounds of their probes, in ms. */
const TURN_AWAY_MS = 100;
/** What is being set up when a proxy is stopped may take so long to be finished, in ms. */
const FINISH_MS = 1000;
/** A peer that died so long ago, in ms, is not merely out of this proxy's sight, with connections that only it knows. */
const PEER_DOUBT_MS = 60_000;
/** Room for what clients send before they have a back end, bytes: many slow heads, and no more memory than that. */
const HELD_BYTES = 64 << 20;
/** Connections that /status lists at most. */
const MAX_VIEWS = 1000;

/** Wires a proxy (P4.2) together. */
export async function buildProxy(config: ProxyConfig, deps: Deps): Promise<Daemon<ProxyConfig>> {
  const { key, epoch, log, metrics, fail } = deps;
  const self = { id: config.id, epoch };
  const tally = new Tally();
  const limits = { ...config.limits };
  const backends = new Backends(config.backends);
  const passwords = new BcryptThread();
  const site = new Site(config, backends, passwords.compare);

  const segmentSize = new SegmentSize([config.front.device, config.middle.device], config.mtu);
  const datapath = openDatapath(config, key, segmentSize.bytes);
  const sender = new RawSender();
  const wire = new Wire(sender, self, deriveKey(key, 'splice-syn', 16), segmentSize);
  const dialer = new Dialer(wire, tally, limits);
  const table: SpliceTable = new SpliceTable(datapath.splices, backends, tally, connection =>
    replication.mention({ type: 'forget', connection }),
  );
  const channel = new ControlChannel({
    key,
    ...self,
    address: config.middle.address,
    port: config.controlPort,
    peers: config.logger ? [...config.peers, config.logger] : config.peers,
    counters: tally,
    log,
    onRecord(peer, record) {
      if (record.type === 'store' || record.type === 'drop') heads.receive(peer, record);
      else if (!membership.receive(peer, record)) replication.receive(peer, record);
    },
  });
  const replication: Replication = new Replication({
    self: config.id,
    peers: config.peers.map(peer => peer.id),
    logger: config.logger?.id,
    hearsLogger: () => membership.hearsLogger,
    isLive: peer => membership.isCounted(peer),
    isIn: () => membership.isIn,
    channel,
    store: table,
    isSettingUp: tuple => intake.isSettingUp(tuple),
    onSegment: (tuple, segment) => intake.receiveFromPeer(tuple, segment),
    tally,
  });
  const outlook = new Outlook();
  const serves = () => membership.isIn && !outlook.isWorse;
  let served = false;
  /** Takes connections up, or leaves them to the peers: balancers and logger hear it with the next probe. */
  const assess = () => {
    liveness.setStatus(outlook.reach);
    if (serves() === served) return;
    served = serves();
    if (!served) intake.drop();
    if (!served && membership.isIn) {
      // Worse off than a peer: what is stored of unfinished heads is no longer for this proxy to finish.
      heads.passOn(config.id);
      membership.leave();
    }
    if (membership.isIn)
      log.info(
        { reach: outlook.reach, served },
        served ? 'as well off as its peers' : 'worse off than a peer',
      );
    liveness.setReady(served && !stopping && !draining);
  };
  let stopping = false;
  // As when it is stopped: what is being set up here is finished, others carry the rest.
  let { draining } = config;
  /** What that peer was setting up is free, or this proxy's. */
  const goOnWith = (peer: number) => {
    replication.peerDied(peer);
    intake.inherit(heads.passOn(peer));
  };
  const membership: Membership = new Membership({
    peers: config.peers.map(peer => peer.id),
    logger: config.logger?.id,
    channel,
    events: {
      standing(isIn) {
        if (!isIn) {
          // Its peers go on with what it was setting up.
          replication.dropClaims();
          replayer.close();
          heads.clear();
        }
        assess();
      },
      gone(peer) {
        channel.forgetPeer(peer);
        goOnWith(peer);
      },
      dropped: goOnWith,
      tell: (peer, sinceMs, generation) => replication.tell(peer, sinceMs, generation),
    },
    tally,
    log,
  });
  const heads: StoredHeads = new StoredHeads({
    self: config.id,
    livePeers: () => replication.livePeers(),
    isLive: peer => membership.isCounted(peer),
    channel,
    gates: replication.gates,
    findEntry: id => table.find(id),
    stage: id => intake.stage(id),
    yieldTo: (id, peer) => intake.yieldTo(id, peer),
    tally,
  });
  const replayer = new Replayer(wire, backends, tally, entry => heads.drop(entry));
  const budget = new Budget(HELD_BYTES);
  const relay = new Relay({ wire, backends, table, replication, tally });
  const intake: Intake = new Intake({
    self: config.id,
    serves,
    wire,
    dialer,
    site,
    replication,
    table,
    relay,
    strays: datapath.strays,
    missesPeer: () => membership.missesPeer(PEER_DOUBT_MS),
    breakpoints: new Breakpoints(config.breakpoints),
    heads,
    replayer,
    budget,
    tally,
    limits,
  });

  const probePort = config.probePort;
  const agents = agentsOf(config.backends);
  const loggers = config.logger ? [config.logger] : [];
  const targets = [...config.peers, ...config.balancers, ...loggers, ...agents].map(
    (host): Target => ({ ...host, port: probePort, ...PROBE }),
  );
  const peerIds = new Set(config.peers.map(peer => peer.id));
  const liveness = await startLiveness({
    port: probePort,
    key,
    self,
    targets,
    lapseMs: LAPSE_MS,
    onLapse: () => membership.check(),
    onError: fail,
  });
  liveness.onChange((target, state) => {
    log.info({ target: target.name, live: state.live, ready: state.ready, epoch: state.epoch }, 'liveness');
    const backend = backends.byName(target.name);
    if (backend) backend.up = state.live && state.ready;
    if (peerIds.has(target.id)) {
      outlook.peerChanged(target.id, state);
      membership.peerChanged(target.id, state.live, state.epoch);
    } else {
      outlook.hostChanged(target.name, state.live);
      if (target.id === config.logger?.id) {
        if (!state.live) channel.forgetPeer(target.id);
        membership.loggerChanged(state.live);
      }
    }
    assess();
  });
  // Before the first packet: a proxy that does not know its peers yet would take itself for the only one.
  await liveness.settled;
  // That a peer was ready until just now counts for a while only.
  const assessing = setInterval(assess, ASSESS_MS);

  datapath.listen({
    segment: (event, payload) => intake.receive(event, payload),
    reply: event => {
      if (isStale(event.timeNs)) tally.staleEvents++;
      else if (!dialer.receive(event)) replayer.receive(event);
    },
    close: event => relay.closed(event.connection, 'kernel'),
  });
  const upkeep = new Upkeep({ log });
  upkeep.add('segment size', () => {
    if (!segmentSize.look()) return;
    datapath.setSegmentSize(segmentSize.bytes);
    log.info({ bytes: segmentSize.bytes }, 'largest segment changed');
  });
  keepAttached(upkeep, config.front.device, 'ingress', datapath.front, log);
  keepAttached(upkeep, config.middle.device, 'ingress', datapath.back, log);
  // Ready only when the peers have told what they know: balancers would send their clients' packets here.
  membership.start();

  liveness.publish(metrics);
  metrics.exits('packets_total', 'Packets by the exit they took in the kernel half.', datapath.counters);
  metrics.events('events_total', 'What user space did, by kind.', tally);
  metrics.gauge('in', '1 while this proxy is not fenced and knows all.', () => Number(membership.isIn));
  metrics.gauge('reach', 'Balancers, loggers and agents that this proxy hears.', () => outlook.reach);
  metrics.totals('send_errors_total', 'Packets that could not be sent, by errno.', ['errno'], () =>
    Object.entries(sender.errors).map(([errno, count]) => [{ errno }, count]),
  );
  metrics.gauge('segment_bytes', 'Largest segment that is announced, bytes.', () => segmentSize.bytes);
  metrics.gauge('splices', 'Connections in the splice table.', () => table.size);
  metrics.gauge('setups', 'Connections being set up.', () => intake.setups);
  metrics.gauge(
    'held_bytes',
    'Room for what clients have sent before they have a back end.',
    () => budget.used,
  );
  metrics.gauge(
    'stored_bytes',
    'Unfinished heads that this proxy keeps, for itself and its peers.',
    () => heads.bytes,
  );
  metrics.gauge(
    'replays',
    'Connections whose head is being delivered again until it arrives.',
    () => replayer.size,
  );

  const names = new Map([[config.id, config.name], ...config.peers.map(p => [p.id, p.name] as const)]);
  return {
    ready() {
      if (draining) return 'is drained: others carry its connections';
      if (!membership.isIn) return membership.obstacle;
      return outlook.isWorse
        ? `hears only ${outlook.reach} of the hosts around it, a peer more`
        : upkeep.ready();
    },
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
      peers: config.peers.map(({ name, id }) => ({ name, live: membership.isCounted(id) })),
    }),
    reload(next) {
      site.replace(next);
      datapath.setListeners(next.listeners);
      Object.assign(limits, next.limits);
      ({ draining } = next);
      liveness.setReady(served && !stopping && !draining);
    },
    async close() {
      membership.close();
      clearInterval(assessing);
      // On purpose it costs nobody a retransmission: others carry the connections before this one stops to listen.
      stopping = true;
      liveness.setReady(false);
      await delay(TURN_AWAY_MS);
      await withDeadline(intake.finished(), FINISH_MS);
      upkeep.close();
      intake.close();
      replayer.close();
      table.close();
      channel.close();
      await liveness.close();
      datapath.close();
      wire.close();
      await passwords.close();
    },
  };
}

function describe({ client, clientPort, vip, vipPort }: Connection) {
  return { client: `${formatIp(client)}:${clientPort}`, vip: `${formatIp(vip)}:${vipPort}` };
}
