// The back-end logger (P5.2): in the path between back ends and auxiliary servers. It keeps what these answered, on disk before a
// back end hears the end of it, and answers a successor from there (P8.3, P12).

import { ChannelServer, kitKeyOf } from '@resplice/kit-channel';
import type { Daemon, Deps } from '@resplice/service-kit';
import { Claims } from './claims.ts';
import type { AuxiliaryConfig } from './config.ts';
import { Gate } from './gate.ts';
import { HttpRelay } from './http/relay.ts';
import { type ClaimRecord, Outcomes } from './outcomes.ts';
import { SmtpRelay } from './smtp/relay.ts';
import { AuxiliaryTally } from './tally.ts';

export async function buildAuxiliary(config: AuxiliaryConfig, deps: Deps): Promise<Daemon<AuxiliaryConfig>> {
  const { backends, limits } = config;
  const { log, metrics, fail } = deps;
  const tally = new AuxiliaryTally();
  const found: ClaimRecord[] = [];
  const outcomes = await Outcomes.open({
    directory: config.logDirectory,
    keepMs: config.keepMs,
    maxBytes: config.logBytes,
    tally,
    onClaim: claim => found.push(claim),
    onState(error) {
      if (error) log.error({ err: error }, 'answers cannot be recorded: updates are refused');
      else log.info('answers are recorded again');
    },
  });
  const { log: disk } = outcomes;
  const claims = new Claims(
    tally,
    claim => {
      // What is lost with a disk that is full is a fence after a restart; the log has said that it is.
      outcomes.claim(claim).catch(() => {});
    },
    log,
  );
  for (const claim of found) claims.restore(claim);
  if (disk.spoiltRecords > 0) log.error({ records: disk.spoiltRecords }, 'the disk has spoilt records');
  if (disk.tornRecords > 0) log.warn({ bytes: disk.tornBytes }, 'cut a record off that was not finished');

  const names = new Map(backends.map(({ name, address }) => [address, name]));
  const services = config.services.map(service => {
    const options = { service, claims, outcomes, limits, tally, log, fail };
    const relay = service.protocol === 'smtp' ? new SmtpRelay(options) : new HttpRelay(options);
    const onArrival = relay.receive.bind(relay);
    return { service, relay, gate: new Gate({ service, backends: names, limits, tally, log, onArrival }) };
  });
  for (const { gate } of services) await gate.listen();
  const { commits } = config;
  const over =
    commits &&
    new ChannelServer({
      kitKey: kitKeyOf(deps.key),
      ...commits.listen,
      callers: new Set(commits.from),
      handle(asked) {
        if (asked.type !== 'commit') throw new Error(`nobody answers ${asked.type} here`);
        outcomes.commit(asked.transactions);
        return undefined;
      },
      onError: (error, caller) => log.warn({ err: error, caller }, 'a message could not be understood'),
    });
  await over?.listen();

  metrics.events('events_total', 'What it did, by kind.', tally);
  metrics.gauge('connections', 'Connections from back ends.', () => total(({ gate }) => gate.size));
  metrics.gauge('dialogues', 'Dialogues that are spoken in, or kept for a successor.', () =>
    total(({ relay }) => relay.size),
  );
  metrics.gauge('recorded', 'Dialogues of which an answer is recorded.', () => outcomes.size);
  metrics.gauge('log_bytes', 'What the log takes up.', () => disk.bytes);
  metrics.gauge('log_segments', 'Files that the log consists of.', () => disk.segments);
  metrics.total('log_syncs_total', 'Times that the log was brought to the disk.', () => disk.cost.syncs);
  metrics.total(
    'log_synced_records_total',
    'Records for which somebody waited for the disk.',
    () => disk.cost.records,
  );
  metrics.total('log_sync_seconds_total', 'Time that it took.', () => disk.cost.ms / 1000);
  metrics.gauge('log_longest_sync_seconds', 'The longest of them.', () => disk.cost.longestMs / 1000);
  metrics.total('log_torn_bytes_total', 'Bytes that a daemon before had not finished.', () => disk.tornBytes);
  metrics.total(
    'log_forgotten_early_total',
    'Files forgotten before their time, for lack of room.',
    () => disk.forgottenEarly,
  );
  return {
    ready: () => (disk.isFailing ? 'answers cannot be recorded' : true),
    status: () => ({
      services: services.map(({ service, relay, gate }) => ({
        name: service.name,
        protocol: service.protocol,
        connections: gate.size,
        dialogues: relay.size,
      })),
      log: {
        bytes: disk.bytes,
        segments: disk.segments,
        recorded: outcomes.size,
        syncs: disk.cost.syncs,
        msPerSync: perSync(disk.cost.ms),
        recordsPerSync: perSync(disk.cost.records),
      },
    }),
    async close() {
      for (const { relay } of services) relay.close();
      await Promise.all([...services.map(({ gate }) => gate.close()), over?.close()]);
      await outcomes.close();
    },
  };

  function total(of: (service: (typeof services)[number]) => number): number {
    return services.reduce((all, each) => all + of(each), 0);
  }

  function perSync(all: number): number {
    return disk.cost.syncs === 0 ? 0 : Number((all / disk.cost.syncs).toFixed(3));
  }
}
