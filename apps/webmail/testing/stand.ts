// The whole application in one process, with a database of its own: for tests, and to try it in a browser.

import type { AddressInfo } from 'node:net';
import { Database, seedDemo } from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { type SmtpOptions, SmtpService } from '@resplice/smtp';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { buildWebmail, type WebmailOptions } from '../src/app.ts';

export const KEY = 'a key that the stand alone uses, and nobody else';

export interface StandOptions {
  readonly port?: number;
  readonly log?: Logger;
  readonly smtp?: Partial<SmtpOptions>;
  readonly webmail?: Partial<WebmailOptions>;
  /** What the webmail dials to reach the SMTP server's port. */
  readonly reach?: (port: number) => Promise<number>;
  /** An SMTP server that says nothing for so long is given up, milliseconds. */
  readonly silenceMs?: number;
  /** Of both programs, milliseconds. */
  readonly patienceMs?: number;
}

export class Stand {
  readonly db: TestDatabase;
  readonly #database: Database;
  readonly smtp: SmtpService;
  readonly smtpPort: number;
  readonly app: FastifyInstance;

  private constructor(
    db: TestDatabase,
    database: Database,
    smtp: SmtpService,
    smtpPort: number,
    app: FastifyInstance,
  ) {
    this.db = db;
    this.#database = database;
    this.smtp = smtp;
    this.smtpPort = smtpPort;
    this.app = app;
  }

  static async start(options: StandOptions = {}): Promise<Stand> {
    const log = options.log ?? pino({ level: 'silent' });
    const db = await testDatabase();
    await seedDemo(db.database);
    const database = new Database({
      connection: db.cluster.address,
      applicationName: 'webmail',
      ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
    });
    const smtp = new SmtpService({
      database,
      domain: 'resplice.example',
      delegationKey: KEY,
      log,
      ...options.smtp,
    });
    const smtpPort = await smtp.listen(0, '127.0.0.1');
    const app = await buildWebmail({
      database,
      submission: {
        host: '127.0.0.1',
        port: (await options.reach?.(smtpPort)) ?? smtpPort,
        delegationKey: KEY,
        ...(options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs }),
      },
      sessionSecret: 'a secret that the stand alone uses, and nobody else',
      log,
      ...options.webmail,
    });
    await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
    return new Stand(db, database, smtp, smtpPort, app);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.app.server.address() as AddressInfo).port}`;
  }

  get database(): Database {
    return this.db.database;
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.smtp.close();
    await this.#database.close();
    await this.db.close();
  }
}
