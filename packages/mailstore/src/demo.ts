// Accounts to try things with. Their password is public: they are for the lab.

import { addAccount } from './accounts.ts';
import type { Database } from './database.ts';

export const DEMO_DOMAIN = 'resplice.example';
export const DEMO_PASSWORD = 'never a dropped byte';

export const demoAccounts = [
  { address: `ada@${DEMO_DOMAIN}`, name: 'Ada Marwah' },
  { address: `ben@${DEMO_DOMAIN}`, name: 'Ben Okafor' },
  { address: `chloe@${DEMO_DOMAIN}`, name: 'Chloe Lindqvist' },
] as const;

/** Adds those demo accounts that are missing; nothing of theirs is changed. */
export async function seedDemo(database: Database): Promise<void> {
  for (const account of demoAccounts) await addAccount(database, { ...account, password: DEMO_PASSWORD });
}
