import { LabError } from '@resplice/engines';
import {
  addAccount,
  Database,
  DatabaseAwayError,
  DEMO_DOMAIN,
  DEMO_PASSWORD,
  demoAccounts,
  MAX_PASSWORD,
  MIN_PASSWORD,
  type NewAccount,
  seedDemo,
} from '@resplice/mailstore';
import { presentEngine } from './present-engine.ts';

/** Works on the accounts of the lab that is up. @throws LabError usage, not-up, unhealthy */
async function withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const engine = await presentEngine();
  const database = new Database({ connection: engine.database(), applicationName: 'resplice' });
  try {
    return await work(database);
  } catch (error) {
    if (!(error instanceof DatabaseAwayError)) throw error;
    throw new LabError('unhealthy', `${error.message}; see: ./resplice status`, { cause: error });
  } finally {
    await database.close();
  }
}

/** Adds the demo's accounts. @returns how they are told to people */
export async function addDemoAccounts(): Promise<string> {
  const elsewhere = (await presentEngine()).accounts?.();
  if (elsewhere) return elsewhere.addDemo();
  await withDatabase(seedDemo);
  return `accounts ${demoAccounts.map(({ address }) => address).join(', ')}; password of all: ${DEMO_PASSWORD}`;
}

/** @throws LabError not-up, usage when there can be no accounts */
export async function requireAccounts(): Promise<void> {
  const engine = await presentEngine();
  if (engine.accounts) engine.accounts();
  else engine.database();
}

/**
 * The address that a name stands for: itself with the domain, or a whole address of that domain.
 * @throws LabError usage
 */
export function addressOf(name: string): string {
  const address = (name.includes('@') ? name : `${name}@${DEMO_DOMAIN}`).toLowerCase();
  if (!/^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?@/.test(address) || !address.endsWith(`@${DEMO_DOMAIN}`)) {
    throw new LabError(
      'usage',
      `"${name}" is no name for a mailbox: letters, digits, dots, dashes and underscores, or that with @${DEMO_DOMAIN}`,
    );
  }
  return address;
}

/** @throws LabError usage unless the password may be one, or when there is such an account already */
export async function addMailAccount(account: NewAccount): Promise<void> {
  const { length } = account.password;
  if (length < MIN_PASSWORD || length > MAX_PASSWORD) {
    throw new LabError(
      'usage',
      `a password has ${MIN_PASSWORD} to ${MAX_PASSWORD} characters, this one has ${length}; nothing was changed`,
    );
  }
  const elsewhere = (await presentEngine()).accounts?.();
  if (elsewhere) return elsewhere.add(account);
  const isNew = await withDatabase(database => addAccount(database, account));
  if (!isNew) throw new LabError('usage', `${account.address} exists already; nothing was changed`);
}
