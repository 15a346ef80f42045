/** What is true of the letters in the end: the mailboxes themselves, read from the database. */
import { setTimeout as delay } from 'node:timers/promises';
import type { DatabaseAddress } from '@resplice/engines';
import { Database, DEMO_DOMAIN, hashPassword, parseMail } from '@resplice/mailstore';
import { digestOf } from './letter.ts';
import type { Account } from './person.ts';

/** How often the database is asked whether something is still on its way, ms. */
const LOOK_MS = 500;
/** Messages that are read at once. */
const PART = 100;

/** A message of the storm in somebody's mailbox. */
export interface Copy {
  /** The letter's. */
  readonly number: number;
  /** One in `sent` counts when its delivery is confirmed. */
  readonly folder: 'inbox' | 'sent';
  /** Address of whose folder it is. */
  readonly owner: string;
  /** Of what is in it. */
  readonly digest: string;
}

export interface Mailboxes {
  readonly copies: readonly Copy[];
  /** Messages that were still on their way when the time was over. */
  readonly pending: number;
}

interface Row {
  readonly id: string;
  readonly folder: Copy['folder'];
  readonly owner: string;
  readonly raw: Buffer;
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
    return { copies: await this.#copies(), pending };
  }

  async #pending(): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(
      `select count(*)::int as count from outgoing o join messages m on m.id = o.message_id where m.subject like $1`,
      [`${this.#mark} %`],
    );
    return row!.count;
  }

  async #copies(): Promise<Copy[]> {
    const copies: Copy[] = [];
    for (let last = '0'; ; ) {
      const rows = await this.#database.query<Row>(
        `select m.id, m.folder, a.address as owner, c.raw
         from messages m join accounts a on a.id = m.account_id join contents c on c.id = m.content_id
         where m.folder in ('inbox', 'sent') and m.state = 'here' and m.subject like $1 and m.id > $2
         order by m.id limit ${PART}`,
        [`${this.#mark} %`, last],
      );
      for (const row of rows) copies.push(await copyOf(row));
      if (rows.length < PART) return copies;
      last = rows.at(-1)!.id;
    }
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

async function copyOf({ folder, owner, raw }: Row): Promise<Copy> {
  const { subject, addresses, text, files } = await parseMail(raw);
  const [to, cc] = [addresses.to, addresses.cc].map(people => people.map(({ address }) => address));
  const digest = digestOf({
    author: addresses.from[0]?.address ?? '',
    ...{ to: to!, cc: cc!, subject, body: text },
    files: files.map(({ name, content }) => ({ name, bytes: content })),
  });
  return { number: Number(subject.split(' ')[1]), folder, owner, digest };
}
