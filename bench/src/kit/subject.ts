/** What is served with the kit and without, and what is asked of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetnsEngine, UpOptions } from '@resplice/engines';
import { Database, seedDemo } from '@resplice/mailstore';
import { checkSite } from '@resplice/site-config';

/** `app` does next to nothing itself, so that what the kit adds stands out; the webmail is what people use. */
export type SubjectName = 'app' | 'webmail';

export interface Operation {
  readonly name: string;
  readonly subject: SubjectName;
  /** For people. */
  readonly title: string;
  /** What the kit may add, as is promised, ms. */
  readonly barMs: number;
  /** In a round, of each variant. */
  readonly calls: number;
  /** Whether the back-end logger's disk is waited for. */
  readonly waitsForDisk?: boolean;
}

/** Reads ship nothing; an update's record is at another back end before its answer leaves. */
const BAR_MS = { read: 0.1, update: 2 } as const;

export const operations: readonly Operation[] = [
  { name: 'app.read', subject: 'app', title: 'GET', barMs: BAR_MS.read, calls: 50 },
  { name: 'app.response', subject: 'app', title: 'POST, journal response', barMs: BAR_MS.update, calls: 50 },
  { name: 'app.state', subject: 'app', title: 'POST, journal state', barMs: BAR_MS.update, calls: 50 },
  { name: 'webmail.read', subject: 'webmail', title: 'webmail, inbox', barMs: BAR_MS.read, calls: 20 },
  { name: 'webmail.login', subject: 'webmail', title: 'webmail, login', barMs: BAR_MS.update, calls: 5 },
  {
    ...{ name: 'webmail.send', subject: 'webmail', title: 'webmail, send' },
    ...{ barMs: BAR_MS.update, calls: 5, waitsForDisk: true },
  },
];

export interface Subject {
  site(): Pick<UpOptions, 'backendCommand' | 'site' | 'siteFile'>;
  /** In a lab that is up. */
  prepare(engine: NetnsEngine): Promise<void>;
}

function app(): ReturnType<Subject['site']> {
  const file = join(import.meta.dirname, 'resplice.yaml');
  const checked = checkSite(readFileSync(file, 'utf8'), file, { backends: ['backend-1', 'backend-2'] });
  if (!checked.ok) throw new Error(`${file} cannot be followed`);
  return {
    siteFile: { file, rules: checked.site },
    backendCommand: {
      command: `exec ${process.execPath} ${join(import.meta.dirname, 'app.ts')}`,
      directory: '/',
      environment: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LC_ALL: 'C.UTF-8',
      },
    },
  };
}

export const subjects: Readonly<Record<SubjectName, Subject>> = {
  app: { site: app, prepare: async () => {} },
  webmail: {
    site: () => ({ site: 'webmail', backendCommand: null }),
    async prepare(engine) {
      const database = new Database({ connection: engine.database(), applicationName: 'resplice bench' });
      try {
        await seedDemo(database);
      } finally {
        await database.close();
      }
    },
  },
};
