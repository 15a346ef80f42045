import { runDaemon } from '@resplice/service-kit';
import { postgresConfig } from './config.ts';
import { buildPostgres } from './daemon.ts';

await runDaemon({ app: 'postgres', schema: postgresConfig, build: buildPostgres });
