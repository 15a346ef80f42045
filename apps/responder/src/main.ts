import { runDaemon } from '@resplice/service-kit';
import { responderConfig } from './config.ts';
import { buildResponder } from './responder.ts';

await runDaemon({ app: 'responder', schema: responderConfig, build: buildResponder });
