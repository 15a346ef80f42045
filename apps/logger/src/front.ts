// The front-end logger (P4.4, P5.1): in the path between proxies and back ends. It logs what passes (conversation.ts), finds out
// when a back end has failed (watchman.ts) and moves connections (recovery.ts). It also steers answers to the proxies, as the balancer
// does with requests, and is the one to fence a proxy that the others go on without, since all their packets pass here.

import { RawSender } from '@resplice/dataplane';
import { kitKeyOf } from '@resplice/kit-channel';
import { deriveKey, type Entry } from '@resplice/protocol';
import {
  buildSteerer,
  ControlChannel,
  type Daemon,
  type Deps,
  keepAttached,
  type SteererParts,
} from '@resplice/service-kit';
import { BcryptThread } from '@resplice/site-config';
import { agentsOf, Backends, Dialer, Wire } from '@resplice/splice';
import { Alternates } from './alternates.ts';
import { Arbiter } from './arbiter.ts';
import { Authority } from './authority.ts';
import { Commits } from './commits.ts';
import type { LoggerConfig } from './config.ts';
import { Conversations } from './conversations.ts';
import { Datapath, OBJECT, TABLE } from './datapath.ts';
import { Fences } from './fences.ts';
import { Kits } from './kits.ts';
import { listenerKey, loggerExitNames, nextHop, steering, steeringOffsets } from './layout.generated.ts';
import { RequestStore } from './request-store.ts';
import { Rules } from './rules.ts';
import { askingOnce, SecondOpinion } from './second-opinion.ts';
import { Speaker } from './speaker.ts';
import { Succession } from './succession.ts';
import { LoggerTally } from './tally.ts';
import { Timeline } from './timeline.ts';
import { Treatments } from './treatments.ts';

/** Largest segment towards either side, bytes: that of an Ethernet link. */
const SEGMENT = { bytes: 1460 };

export function buildFront(config: LoggerConfig, deps: Deps): Promise<Daemon<LoggerConfig>> {
  return buildSteerer(config, deps, {
    objectPath: OBJECT,
    program: 'logger_back',
    ingress: config.back.device,
    towards: config.middle.device,
    layouts: { steering, steeringOffsets, nextHop, listenerKey, exitNames: loggerExitNames },
    state: ['fences'],
    shared: TABLE,
    maxEntries: {
      tracks: config.maxConnections,
      free_slots: config.maxConnections,
      flows: 4 * config.maxConnections,
    },
    others: agentsOf(config.backends),
    extend: tools => extend(config, deps, tools),
  });
}

type Tools = Parameters<NonNullable<SteererParts['extend']>>[0];

async function extend(config: LoggerConfig, deps: Deps, tools: Tools) {
  const { id, middle, proxies, controlPort } = config;
  const { key, epoch, log, metrics } = deps;
  const { object, liveness, upkeep } = tools;
  const tally = new LoggerTally();
  const datapath = new Datapath(object, {
    ...{ key, address: config.back.address },
    patienceMs: config.passUnloggedAfterMs,
  });
  const backends = new Backends(config.backends);
  const sender = new RawSender();
  const wire = new Wire(sender, { id }, deriveKey(key, 'splice-syn', 16), SEGMENT);
  const timeline = new Timeline();
  const recovery = { ...config.recovery };
  const limits = { headTimeoutMs: config.headTimeoutMs };
  const passwords = new BcryptThread();
  const rules = new Rules(config, backends, passwords.compare);
  const guard = ({ vips }: LoggerConfig) =>
    datapath.setGuarded(vips.map(vip => ({ ...vip, isGuarded: rules.guards(vip.port) })));
  guard(config);
  const treatments = new Treatments(config.listeners, config.timeoutClasses);
  const store = new RequestStore({
    limits: recovery,
    directory: config.spillDirectory,
    onFailure(error) {
      if (tally.spillFailures++ === 0)
        log.error({ directory: config.spillDirectory, error: error.message }, 'cannot keep requests on disk');
    },
  });
  if (store.isInMemory)
    log.warn({ directory: config.spillDirectory }, 'the directory for long requests is itself in memory');
  const kits = new Kits({
    ...{ kitKey: kitKeyOf(key), self: config.name, port: config.kitPort, log },
    ...{ backends: config.backends, auxiliaries: config.auxiliaries },
  });
  kits.use(Treatments.keepJournals(config.listeners));
  const commits = new Commits(kits, tally);
  const conversations = new Conversations({
    datapath,
    backends,
    wire,
    speaker: new Speaker(new RawSender(), SEGMENT.bytes),
    dialer: new Dialer(wire, tally, { connectTimeoutMs: 400 }),
    alternates: new Alternates(backends),
    tally,
    timeline,
    recovery,
    ...{ treatments, rules, store, limits, kits, commits },
    ask: askingOnce(),
    onMoved: entry => arbiter.tell({ ...entry, owner: id }),
    log,
  });
  const doubts = new SecondOpinion((backend, isCertain) => {
    log.info({ backend: backend.name, certain: isCertain }, 'back end does not answer');
    conversations.backendDied(backend, isCertain);
  });
  let draining: ReadonlySet<string> = new Set();
  const follow = (name: string) => {
    const backend = backends.byName(name);
    if (!backend) return;
    const { live, ready, epoch } = liveness.state(name);
    const before = backend.up;
    backend.up = live && ready && !draining.has(name);
    if (before !== backend.up) log.info({ backend: name, live, ready }, 'back end changed');
    if (live) doubts.trust(backend, epoch);
    else doubts.doubt(backend, epoch);
  };
  const drain = (names: readonly string[]) => {
    draining = new Set(names);
    conversations.drain(backends.all.filter(({ name }) => draining.has(name)));
    for (const { name } of config.backends) follow(name);
  };
  drain(config.draining);
  const isProxy = new Set(proxies.map(({ name }) => name));
  liveness.onChange(({ name }, { live }) => {
    follow(name);
    if (isProxy.has(name) && !live) conversations.proxyDied();
  });
  const arbiter = arbitrate();
  const succession = succeed();
  // Before `logger_back`: where another build's stands at one side and this one's at the other, what passes there must not be
  // measured by what only the other one has seen.
  keepAttached(upkeep, middle.device, 'ingress', object.program('logger_middle'), log);
  keepAttached(upkeep, middle.device, 'egress', object.program('logger_out'), log);
  metrics.events('events_total', 'What user space did, by kind.', tally);
  metrics.gauge('connections', 'Connections that are logged.', () => conversations.size);
  metrics.gauge('resting', 'Idle connections that no back end holds: their next request finds one.', () =>
    conversations.count('resting'),
  );
  metrics.gauge(
    'unprotected',
    'Connections that are lost with their back end: upgraded ones, streams that cannot be followed.',
    () => conversations.count('unprotected'),
  );
  metrics.gauge('traces', 'Connections of which the steps of their moves are kept.', () => timeline.size);
  metrics.gauge('moves', 'Connections that are moving to another back end.', () => conversations.moves);
  metrics.gauge('request_bytes', 'Bytes of unfinished requests in memory.', () => store.held);
  metrics.gauge('spilled_bytes', 'Bytes of unfinished requests on disk.', () => store.spilled);
  metrics.gauge('ring_bytes', 'Bytes of log that wait for user space.', () => datapath.pending);
  return {
    status: () => ({ ...arbiter.status(), ...conversations.status(), kits: kits.reached }),
    attached() {
      if (succession) datapath.inherit(succession.end());
      conversations.start();
    },
    pages: { '/trace': (query: URLSearchParams) => conversations.trace(query.get('client') ?? '') },
    reload(next: LoggerConfig) {
      // First: it may refuse.
      rules.replace(next);
      guard(next);
      conversations.followRules();
      treatments.replace(next.listeners, next.timeoutClasses);
      kits.use(Treatments.keepJournals(next.listeners));
      Object.assign(recovery, next.recovery);
      limits.headTimeoutMs = next.headTimeoutMs;
      drain(next.draining);
    },
    async close() {
      arbiter.close();
      doubts.close();
      conversations.close();
      commits.close();
      kits.close();
      datapath.close();
      wire.close();
      await passwords.close();
    },
  };

  /** Takes over what another build has followed, if that is laid out otherwise; else both have the same table. */
  function succeed(): Succession | undefined {
    const { former } = object;
    if (former === undefined) return undefined;
    const made = typeof former === 'string' ? undefined : new Succession(former, object);
    if (!made?.fits) {
      const why = typeof former === 'string' ? former : 'its table is larger than maxConnections';
      log.warn({ why }, 'connections of the version before this one pass unprotected');
      return undefined;
    }
    log.info({ connections: made.begin() }, 'went on with the table of another version');
    return made;
  }

  /** Answers the proxies' questions about each other. */
  function arbitrate() {
    const fences = new Fences({
      ...{ object, device: middle.device, proxies, log },
      onCount: count => datapath.setFences(count),
    });
    upkeep.add('fences', () => fences.look());
    const names = new Map(proxies.map(proxy => [proxy.id, proxy.name]));
    const stateOf = (proxy: number) => liveness.state(names.get(proxy) ?? '');
    const life = {
      isLive: (proxy: number) => stateOf(proxy).live,
      epochOf: (proxy: number) => stateOf(proxy).epoch,
    };
    const decisions = new Arbiter(
      proxies.map(proxy => proxy.id),
      life,
      fences,
    );
    const authority = new Authority(datapath, backends, id);
    const channel: ControlChannel = new ControlChannel({
      ...{ key, id, epoch, address: middle.address, port: controlPort, peers: proxies, counters: tally, log },
      onRecord(from, record, fromEpoch) {
        const knowledge = decisions.answer(from, fromEpoch, record) ?? authority.answer(record);
        if (!knowledge || !('id' in record)) {
          tally.recordsUnexpected++;
          return;
        }
        // Those whom it concerns learn from our next answer to their probes that they should ask.
        liveness.setStatus(decisions.changes);
        channel.send(from, { type: 'answer', id: record.id, knowledge });
      },
    });
    metrics.gauge('fences', 'Proxies that are fenced.', () => fences.all.size);
    return {
      status: () => ({ fenced: [...fences.all.keys()].map(proxy => names.get(proxy) ?? `proxy ${proxy}`) }),
      /** A proxy that does not hear of it is told by its peers, or has its packets redirected until it forgets. */
      tell(entry: Entry) {
        for (const proxy of proxies)
          if (life.isLive(proxy.id)) void channel.ask(proxy.id, id => ({ type: 'publish', id, entry }));
      },
      close: () => channel.close(),
    };
  }
}
