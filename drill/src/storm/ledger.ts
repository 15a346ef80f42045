/** What is true of the letters in the end: the mailboxes themselves, read from the database. */
import { setTimeout as delay } from 'node:timers/promises';
import type { DatabaseAddress } from '@resplice/engines';
import { Database, DEMO_DOMAIN, hashPassword } from '@resplice/mailstore';
import type { Account } from './person.ts';

/** How often the database is asked whether something is still on its way, ms. */
const LOOK_MS = 500;

export interface Mailboxes {
  /** How often each number lies in an inbox. */
  readonly delivered: ReadonlyMap<number, number>;
  /** How often in its author's folder of sent messages, with its delivery confirmed. */
  readonly kept: ReadonlyMap<number, number>;
  /** Messages that were still on their way when the time was over. */
  readonly pending: number;
}

export class Ledger {
  readonly #database: Database;
  readonly #mark: string;

  /** @param mark begins every address and subject of this storm; lower-case letters and digits */
  constructor(address: DatabaseAddress, mark: string) {
    this.#database = new Database({ connection: address, applicationName: 'resplice drill' });
    this.#mark = mark;
  }

  /** Adds so many people, who share a password: to hash one for each would take longer than some storms. */
  async addPeople(count: number): Promise<Account[]> {
    const password = `the password of ${this.#mark}`;
    const hashed = await hashPassword(password);
    const people = Array.from({ length: count }, (_, i) => ({
      address: `${this.#mark}-${i + 1}@${DEMO_DOMAIN}`,
      password,
    }));
    await this.#database.query(
      'insert into accounts (address, name, password) select address, address, $2 from unnest($1::text[]) as address',
      [people.map(({ address }) => address), hashed],
    );
    return people;
  }

  /** Looks when nothing of this storm is on its way any more, or after so long. */
  async settle(deadlineMs: number): Promise<Mailboxes> {
    const deadline = performance.now() + deadlineMs;
    let pending = await this.#pending();
    for (; pending > 0 && performance.now() < deadline; pending = await this.#pending()) await delay(LOOK_MS);
    return { delivered: await this.#count('inbox'), kept: await this.#count('sent'), pending };
  }

  async #pending(): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(
      `select count(*)::int as count from outgoing o join messages m on m.id = o.message_id where m.subject like $1`,
      [`${this.#mark} %`],
    );
    return row!.count;
  }

  async #count(folder: 'inbox' | 'sent'): Promise<Map<number, number>> {
    const rows = await this.#database.query<{ subject: string; count: number }>(
      `select subject, count(*)::int as count from messages
       where folder = $1 and state = 'here' and subject like $2 group by subject`,
      [folder, `${this.#mark} %`],
    );
    return new Map(rows.map(({ subject, count }) => [Number(subject.split(' ')[1]), count]));
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
