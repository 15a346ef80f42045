import { z } from 'zod';

const port = z.coerce.number('must be a port').int('must be a port').min(0).max(65535, 'must be a port');
const secret = z
  .string('is missing: at least 32 characters, the same on every back end')
  .min(32, 'must have at least 32 characters');

/** Environment variables; `PORT` and `BACKEND_ID` are what a back end's command is given. */
export const webmailConfig = z.object({
  PORT: port.default(8080),
  LISTEN: z.string().default('0.0.0.0'),
  /** Shown to PostgreSQL: what is this back end's there can be told apart. */
  BACKEND_ID: z.string().default('webmail'),
  /** `postgres://user@host/database` */
  DATABASE_URL: z.string('is missing: postgres://user@host/database'),
  /** `host:port` of the SMTP server. */
  SMTP_SERVER: z
    .string()
    .regex(/^[^\s:]+:\d+$/, 'must be host:port')
    .default('127.0.0.1:2525'),
  /** Shared with the SMTP server. */
  DELEGATION_KEY: secret,
  /** Signs session cookies. */
  SESSION_SECRET: secret,
  /** Where sessions are without the kit: in the database every server that stands beside this one finds them. */
  SESSIONS: z.enum(['database', 'memory'], 'must be database or memory').default('database'),
  /** Directory in which files stop this server at points of a letter's way (mail/breakpoints.ts). */
  RESPLICE_BREAKPOINTS: z.string().optional(),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error').default('info'),
});
