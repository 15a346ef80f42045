import { runDaemon } from '@resplice/service-kit';
import { auxiliaryConfig } from './aux/config.ts';
import { loggerConfig } from './config.ts';
import { roleOf } from './role.ts';

// Loaded only where it is needed: the front role loads BPF, the auxiliary one must run where there is none.
if (roleOf(process.argv) === 'auxiliary') {
  const { buildAuxiliary } = await import('./aux/auxiliary.ts');
  await runDaemon({ app: 'logger', schema: auxiliaryConfig, build: buildAuxiliary });
} else {
  const { buildFront } = await import('./front.ts');
  await runDaemon({
    app: 'logger',
    schema: loggerConfig,
    reloadable: ['vips', 'listeners', 'pools', 'headBytes', 'timeoutClasses', 'recovery', 'draining'],
    build: buildFront,
  });
}
