// For tests of the mail programs: a database of their own.

import { Cluster } from '@resplice/postgres';
import { Database } from '../src/database.ts';
import { migrate } from '../src/migrate.ts';

export interface TestDatabase {
  readonly cluster: Cluster;
  readonly database: Database;
  close(): Promise<void>;
}

/** A cluster with the schema in it. */
export async function testDatabase(): Promise<TestDatabase> {
  const cluster = await Cluster.create();
  const database = new Database({ connection: cluster.address, applicationName: 'test' });
  await migrate(database);
  return {
    cluster,
    database,
    async close() {
      await database.close();
      await cluster.remove();
    },
  };
}
