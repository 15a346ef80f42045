import { runDaemon } from '@resplice/service-kit';
import { lbConfig } from './config.ts';
import { buildLb } from './lb.ts';

await runDaemon({ app: 'lb', schema: lbConfig, reloadable: ['vips'], build: buildLb });
