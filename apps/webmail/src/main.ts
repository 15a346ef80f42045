/** `PORT=8080 DATABASE_URL=postgres://… node apps/webmail/src/main.ts`; all variables in config.ts. */
import { backendKit } from '@resplice/backend-kit';
import { Database, migrate, readEnvironment } from '@resplice/mailstore';
import { pino } from 'pino';
import { buildWebmail } from './app.ts';
import { webmailConfig } from './config.ts';

const config = readEnvironment(webmailConfig);
const log = pino({ base: { name: 'webmail' }, level: config.LOG_LEVEL });
const database = new Database({ connection: config.DATABASE_URL, applicationName: config.BACKEND_ID });
const [host = '', port] = config.SMTP_SERVER.split(':');
const app = await buildWebmail({
  database,
  kit: backendKit(),
  submission: { host, port: Number(port), delegationKey: config.DELEGATION_KEY },
  sessionSecret: config.SESSION_SECRET,
  log,
});
app.addHook('onClose', async () => await database.close());
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void app.close().then(() => process.exit(0)));
}
try {
  await migrate(database);
  await app.listen({ host: config.LISTEN, port: config.PORT });
} catch (error) {
  log.fatal({ err: error }, 'cannot start');
  process.exit(1);
}
