/** `PORT=8080 DATABASE_URL=postgres://… node apps/webmail/src/main.ts`; all variables in config.ts. */
import { backendKit } from '@resplice/backend-kit';
import { Database, migrateWhenThere, readEnvironment } from '@resplice/mailstore';
import { pino } from 'pino';
import { buildWebmail } from './app.ts';
import { webmailConfig } from './config.ts';
import { Breakpoints } from './mail/breakpoints.ts';
import { SessionTable } from './web/session-table.ts';
import { SESSION_MS } from './web/sessions.ts';

const config = readEnvironment(webmailConfig);
const log = pino({ base: { name: 'webmail' }, level: config.LOG_LEVEL });
const connection = { connection: config.DATABASE_URL, applicationName: config.BACKEND_ID };
const database = new Database(connection);
const [host = '', port] = config.SMTP_SERVER.split(':');
const kit = backendKit();
const app = await buildWebmail({
  database,
  kit,
  submission: {
    host,
    port: Number(port),
    delegationKey: config.DELEGATION_KEY,
    breakpoints: new Breakpoints(config.RESPLICE_BREAKPOINTS),
  },
  sessionSecret: config.SESSION_SECRET,
  // Without the kit, too, whoever is asked next knows who is logged in.
  ...(kit.kit === undefined && config.SESSIONS === 'database'
    ? { sessionStore: new SessionTable(database, SESSION_MS) }
    : {}),
  log,
});
async function stop(): Promise<void> {
  // With the application its requests, its outbox and its kit have ended: until then, all of them need the database.
  await app.close();
  await database.close();
  process.exit(0);
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop());
try {
  await migrateWhenThere(connection);
  await app.listen({ host: config.LISTEN, port: config.PORT });
} catch (error) {
  log.fatal({ err: error }, 'cannot start');
  process.exit(1);
}
