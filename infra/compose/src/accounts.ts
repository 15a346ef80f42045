// Mail accounts, added in the SMTP server's container: it knows the database.

import {
  addAccount,
  Database,
  DEMO_DOMAIN,
  DEMO_PASSWORD,
  demoAccounts,
  MAX_PASSWORD,
  MIN_PASSWORD,
  seedDemo,
} from '@resplice/mailstore';
import { hostNamed } from '@resplice/topology';
import { knownTopology } from './known-deployment.ts';
import { partOf, surroundingsOf } from './part.ts';

async function withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const topology = knownTopology();
  const host = hostNamed(topology, 'smtp-1');
  if (!host) throw new Error('this deployment serves no webmail');
  const part = partOf(host, 'smtp');
  if (part.kind === 'daemon') throw new TypeError('the SMTP server is no daemon');
  const { DATABASE_URL, PGPASSWORD } = surroundingsOf(topology, host, part);
  process.env.PGPASSWORD = PGPASSWORD;
  const database = new Database({ connection: DATABASE_URL!, applicationName: 'accounts' });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

async function firstLine(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString().split(/\r?\n/, 1)[0]!;
}

/**
 * With the password that is the first line of standard input.
 * @returns what to tell people
 * @throws RangeError when it cannot be; nothing was changed then
 */
export async function addMailAccount(name: string, text = name): Promise<string> {
  if (!/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/.test(name)) {
    throw new RangeError(`"${name}" is no name for a mailbox: letters, digits, dots, dashes, underscores`);
  }
  const password = await firstLine();
  if (password.length < MIN_PASSWORD || password.length > MAX_PASSWORD) {
    throw new RangeError(`a password has ${MIN_PASSWORD} to ${MAX_PASSWORD} characters`);
  }
  const address = `${name}@${DEMO_DOMAIN}`;
  const isNew = await withDatabase(database => addAccount(database, { address, name: text, password }));
  if (!isNew) throw new RangeError(`${address} exists already; nothing was changed`);
  return `${address} can log in`;
}

/** Their password is public: they are for trying things. @returns what to tell people */
export async function addDemoAccounts(): Promise<string> {
  await withDatabase(seedDemo);
  return `${demoAccounts.map(({ address }) => address).join(', ')}; password of all: ${DEMO_PASSWORD}`;
}
