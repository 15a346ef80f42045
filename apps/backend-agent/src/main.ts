import { runDaemon } from '@resplice/service-kit';
import { buildAgent } from './agent.ts';
import { agentConfig } from './config.ts';

await runDaemon({ app: 'agent', schema: agentConfig, reloadable: ['draining'], build: buildAgent });
