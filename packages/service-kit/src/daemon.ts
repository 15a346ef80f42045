// A daemon's life from argv to exit code. Daemons are crash-only: BPF programs and maps stay pinned and attached when
// one goes, cleanly or not, and its next run takes them over.

import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { type Admin, type Pages, startAdmin } from './admin.ts';
import { ConfigError, EXIT_CONFIG, parseConfig, readConfigText } from './config.ts';
import { withDeadline } from './deadline.ts';
import { readKey } from './key.ts';
import { createLog, type Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { RunningConfig } from './reload.ts';
import type { DaemonConfig } from './schema.ts';

const EXIT_USAGE = 64;
const EXIT_INTERNAL = 70;

/** A close() that hangs must not keep a daemon from exiting, in ms. */
const CLOSE_DEADLINE_MS = 3000;

export interface Deps {
  log: Log;
  metrics: Metrics;
  /** Cluster key, 32 bytes. */
  key: Uint8Array;
  /** u32 seconds since 1970 at the daemon's start. */
  epoch: number;
  /** Ends the daemon as an uncaught exception would: for errors outside any promise. */
  fail(error: Error): void;
}

/** @typeParam C the daemon's configuration */
export interface Daemon<C = unknown> {
  /** true, or why not yet or no longer: what /healthz says. */
  ready(): true | string;
  /** Fields of /status beyond the common ones. */
  status(): object;
  /** Pages of the admin server beyond the common ones. */
  pages?: Pages;
  /**
   * Takes a changed configuration over: all of it, or, if it throws, nothing. Only fields that the definition calls reloadable
   * differ from those of the last one. Absent: there are none.
   */
  reload?(config: C): void | Promise<void>;
  close(): void | Promise<void>;
}

export interface DaemonDefinition<S extends z.ZodType<DaemonConfig>> {
  /** Begins the metrics' names, and is the role in /status unless the config has one. */
  app: string;
  schema: S;
  /** Fields of the configuration that may change while the daemon runs. */
  reloadable?: readonly (keyof z.output<S> & string)[];
  /** Pure wiring: no argv, environment, signals or exit codes in there. */
  build(config: z.output<S>, deps: Deps): Daemon<z.output<S>> | Promise<Daemon<z.output<S>>>;
}

function configFile(app: string): string {
  try {
    const { values } = parseArgs({ options: { config: { type: 'string' } }, strict: true });
    if (values.config) return values.config;
    process.stderr.write(`${app}: --config FILE is missing\n`);
  } catch (error) {
    process.stderr.write(`${app}: ${(error as Error).message}\n`);
  }
  process.stderr.write('usage: main.ts --config FILE\n');
  process.exit(EXIT_USAGE);
}

function readConfig<S extends z.ZodType<DaemonConfig>>(schema: S, file: string) {
  try {
    const read = readConfigText(file);
    const config = parseConfig(schema, read);
    return { config, file, sha256: read.sha256, key: readKey(config.keyFile) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${problem}\n`);
    process.exit(EXIT_CONFIG);
  }
}

/** Runs a daemon until a signal or an error ends the process. */
export async function runDaemon<S extends z.ZodType<DaemonConfig>>(
  definition: DaemonDefinition<S>,
): Promise<void> {
  const { app, schema, reloadable = [], build } = definition;
  const { config, file, sha256, key } = readConfig(schema, configFile(app));
  const { name, admin: adminConfig } = config;
  const role = 'role' in config && typeof config.role === 'string' ? config.role : app;
  const epoch = Math.floor(Date.now() / 1000);
  const log = createLog(name, config.logLevel);
  const metrics = new Metrics(role);

  const fail = (error: unknown): never => {
    log.fatal({ err: error }, 'stopped by an error; pinned programs stay attached');
    process.exit(EXIT_INTERNAL);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  log.info({ config, epoch, pid: process.pid }, 'starting');

  const running = new RunningConfig({ config, sha256 }, { file, schema, reloadable, log, metrics });
  // Before anybody can know that this process runs: without a handler the signal would end it.
  process.on('SIGHUP', () => running.request());
  let daemon: Daemon<z.output<S>> | undefined;
  let admin: Admin | undefined;
  let stopping = false;

  const stop = async (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping; pinned programs stay attached');
    const closing = Promise.all([daemon?.close(), admin?.close()]).then(() => {});
    if (!(await withDeadline(closing, CLOSE_DEADLINE_MS)))
      log.warn('close took too long, exiting all the same');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => stop(signal).catch(fail));
  }

  const ready = (): true | string => {
    if (stopping) return 'stopping';
    return daemon ? daemon.ready() : 'starting';
  };
  // Before build(): whoever waits for the daemon can read why it is not ready, and a second instance stops here.
  admin = await startAdmin({
    ...adminConfig,
    log,
    source: {
      ready,
      metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
      status: async () => ({
        name,
        role,
        epoch,
        ready: ready() === true,
        config: running.status,
        metrics: await metrics.numbers(),
        ...daemon?.status(),
      }),
      pages: () => daemon?.pages ?? {},
    },
  });
  daemon = await build(config, { log, metrics, key, epoch, fail });
  running.begin(daemon.reload?.bind(daemon));
  log.info('started');
}
