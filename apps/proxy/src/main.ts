import { runDaemon } from '@resplice/service-kit';
import { proxyConfig } from './config.ts';
import { buildProxy } from './proxy.ts';

await runDaemon({
  app: 'proxy',
  schema: proxyConfig,
  reloadable: ['listeners', 'pools', 'limits', 'draining'],
  build: buildProxy,
});
