/** `PORT=8080 BACKEND_ID=backend-1 node apps/demo/src/main.ts` */
import { hostname } from 'node:os';
import { buildDemo } from './app.ts';

const port = Number(process.env.PORT ?? 8080);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  process.stderr.write(`config: PORT: not a port: ${process.env.PORT}\n`);
  process.exit(78);
}

const app = buildDemo({ backend: process.env.BACKEND_ID || hostname(), logger: { level: 'info' } });
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void app.close().then(() => process.exit(0)));
}
try {
  await app.listen({ host: '0.0.0.0', port });
} catch (error) {
  app.log.fatal(error);
  process.exit(1);
}
