/** `DATABASE_URL=postgres://… node apps/smtp/src/main.ts`; all variables in config.ts. */
import { Database, migrateWhenThere, readEnvironment } from '@resplice/mailstore';
import { pino } from 'pino';
import { smtpConfig } from './config.ts';
import { SmtpService } from './server.ts';

const config = readEnvironment(smtpConfig);
const log = pino({ base: { name: 'smtp' }, level: config.LOG_LEVEL });
const connection = { connection: config.DATABASE_URL, applicationName: 'smtp' };
const database = new Database(connection);
const [host, port] = config.SMARTHOST?.split(':') ?? [];
const service = new SmtpService({
  database,
  domain: config.MAIL_DOMAIN,
  delegationKey: config.DELEGATION_KEY,
  proxies: config.SMTP_PROXIES,
  smarthost:
    host === undefined
      ? undefined
      : {
          host,
          port: Number(port),
          username: config.SMARTHOST_USER,
          password: config.SMARTHOST_PASSWORD,
        },
  log,
});

async function stop(): Promise<void> {
  await service.close();
  await database.close();
  process.exit(0);
}

try {
  await migrateWhenThere(connection);
  const port = await service.listen(config.SMTP_PORT, config.SMTP_LISTEN);
  log.info({ host: config.SMTP_LISTEN, port, domain: config.MAIL_DOMAIN }, 'listening');
} catch (error) {
  log.fatal({ err: error }, 'cannot start');
  process.exit(1);
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop());
