import { runDaemon } from '@resplice/service-kit';
import { loggerConfig } from './config.ts';
import { buildRouter } from './router.ts';

await runDaemon({ app: 'logger', schema: loggerConfig, reloadable: ['vips'], build: buildRouter });
