import { runDaemon } from '@resplice/service-kit';
import { loggerConfig } from './config.ts';
import { buildFront } from './front.ts';

await runDaemon({
  app: 'logger',
  schema: loggerConfig,
  reloadable: ['vips', 'listeners', 'pools', 'headBytes', 'timeoutClasses', 'recovery', 'draining'],
  build: buildFront,
});
