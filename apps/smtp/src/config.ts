import { z } from 'zod';

const port = z.coerce.number('must be a port').int('must be a port').min(0).max(65535, 'must be a port');

/** Environment variables. */
export const smtpConfig = z.object({
  SMTP_LISTEN: z.string().default('0.0.0.0'),
  SMTP_PORT: port.default(2525),
  /** `postgres://user@host/database` */
  DATABASE_URL: z.string('is missing: postgres://user@host/database'),
  MAIL_DOMAIN: z.string().toLowerCase().default('resplice.example'),
  /** Shared with the webmail; without it, only users' own passwords are taken. */
  DELEGATION_KEY: z.string().min(32, 'must have at least 32 characters').optional(),
  /** `host:port`; without it, mail for other domains is refused. */
  SMARTHOST: z
    .string()
    .regex(/^[^\s:]+:\d+$/, 'must be host:port')
    .optional(),
  SMARTHOST_USER: z.string().optional(),
  SMARTHOST_PASSWORD: z.string().optional(),
  /** Addresses of back-end loggers, separated by commas: connections from there must begin with a PROXY header, version 2. */
  SMTP_PROXIES: z
    .string()
    .default('')
    .transform(text => text.split(',').filter(Boolean))
    .pipe(z.array(z.ipv4('must be IPv4 addresses separated by commas'))),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error').default('info'),
});
