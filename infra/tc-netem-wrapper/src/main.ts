import { runDaemon } from '@resplice/service-kit';
import { linkConfig } from './config.ts';
import { buildLink } from './daemon.ts';

await runDaemon({ app: 'link', schema: linkConfig, build: buildLink });
