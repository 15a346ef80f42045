// A cluster as a daemon: data that outlives it, TCP for those who know the key, ready when the server takes connections.

import type { Daemon, Deps } from '@resplice/service-kit';
import { Cluster } from './cluster.ts';
import type { PostgresConfig } from './config.ts';
import { passwordOf } from './password.ts';

/** The lab's data is in memory: its log must not fill that. */
const SETTINGS = ['max_wal_size=128MB', 'min_wal_size=32MB', 'max_connections=200'];

export async function buildPostgres(
  config: PostgresConfig,
  { log, metrics, key, fail }: Deps,
): Promise<Daemon> {
  const { directory, database, role, admits } = config;
  const cluster = await Cluster.create({
    directory,
    settings: SETTINGS,
    beginning: [
      `create role ${role} login password '${passwordOf(key, role)}'`,
      `create database ${database} owner ${role}`,
    ],
    listen: { ...config.listen, admits },
    onEnd: fail,
  });
  log.info({ server: cluster.pid, directory }, 'the server takes connections');
  metrics.gauge('sessions', 'Sessions of the role that owns the database.', () => cluster.sessionsOf(role));
  return {
    ready: () => true,
    status: () => ({ server: cluster.pid, database, role }),
    close: () => cluster.stop('fast'),
  };
}
