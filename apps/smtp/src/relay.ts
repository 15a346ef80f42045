// Mail for other domains: handed to the smarthost, again and again until that takes or refuses it, or time is up.
// At least once: when the smarthost's last answer is lost, the message goes there again.

import {
  claimDeliveries,
  type Database,
  digest,
  dropContents,
  place,
  storeContent,
} from '@resplice/mailstore';
import { createTransport } from 'nodemailer';
import type { Logger } from 'pino';
import { composeBounce } from './bounce.ts';

export interface Smarthost {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

export interface RelayOptions {
  readonly database: Database;
  readonly domain: string;
  readonly smarthost: Smarthost;
  /** Pause after the first failure, the second …; the last is used from then on. Milliseconds. */
  readonly pausesMs: readonly number[];
  readonly log: Logger;
}

/** Nobody else takes a message that one of us is handing over; longer than any dialogue, milliseconds. */
const LEASE_MS = 10 * 60_000;
/** How often the queue is looked at unasked: another server of ours may have left something. */
const LOOK_MS = 30_000;

interface Job {
  readonly id: string;
  readonly submitter: string | null;
  readonly sender: string;
  readonly recipient: string;
  readonly contentId: string;
  readonly attempts: number;
  readonly expired: boolean;
  readonly raw: Buffer;
}

/** Set by nodemailer on what the other server refused. */
interface Refusal {
  readonly response?: string;
  readonly message: string;
  readonly permanent?: boolean;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #transport;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { host, port, username, password } = options.smarthost;
    this.#transport = createTransport({
      host,
      port,
      secure: false,
      connectionTimeout: 10_000,
      greetingTimeout: 30_000,
      socketTimeout: 60_000,
      ...(username === undefined ? {} : { auth: { user: username, pass: password ?? '' } }),
    });
  }

  /** There may be something to do: at start, and whenever a message came in. */
  wake(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
      // Asked between the last look and now.
      if (this.#again) this.wake();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
    this.#transport.close();
  }

  async #work(): Promise<void> {
    clearTimeout(this.#timer);
    let pause = LOOK_MS;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        for (let job = await this.#take(); job !== undefined && !this.#closed; job = await this.#take()) {
          await this.#handOver(job);
        }
      }
      pause = await this.#untilNext();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'relay: the queue cannot be worked off now; later');
    }
    if (!this.#closed) this.#timer = setTimeout(() => this.wake(), pause);
  }

  async #untilNext(): Promise<number> {
    const [row] = await this.#options.database.query<{ at: Date | null }>(
      'select min(next_at) as at from relays',
    );
    return row?.at == null ? LOOK_MS : Math.max(0, Math.min(LOOK_MS, row.at.getTime() - Date.now()));
  }

  async #take(): Promise<Job | undefined> {
    const now = new Date();
    return await this.#options.database.transact(async client => {
      const { rows } = await client.query<Job>(
        `update relays r set attempts = attempts + 1, next_at = $2
         from contents c where c.id = r.content_id and r.id =
           (select id from relays where next_at <= $1 order by next_at limit 1 for update skip locked)
         returning r.id, submitter, sender, recipient, content_id as "contentId", attempts, expires_at <= $1 as expired,
           c.raw`,
        [now, new Date(now.getTime() + LEASE_MS)],
      );
      return rows[0];
    });
  }

  async #handOver(job: Job): Promise<void> {
    const { log } = this.#options;
    const { id, sender, recipient, raw, attempts } = job;
    try {
      await this.#transport.sendMail({ envelope: { from: sender, to: [recipient] }, raw });
      log.info({ id, recipient, attempts }, 'relayed');
      await this.#finish(job, undefined);
    } catch (error) {
      const refusal = error as Refusal;
      const reason = refusal.response ?? refusal.message;
      log.info({ id, recipient, attempts, reason }, 'not relayed');
      if (refusal.permanent === true || job.expired) await this.#finish(job, reason);
      else await this.#postpone(job, reason);
    }
  }

  async #postpone({ id, attempts }: Job, reason: string): Promise<void> {
    const { pausesMs, database } = this.#options;
    const pause = pausesMs[Math.min(attempts, pausesMs.length) - 1]!;
    await database.query('update relays set next_at = $2, last_error = $3 where id = $1', [
      id,
      new Date(Date.now() + pause),
      reason,
    ]);
  }

  /** Out of the queue, and in the same moment the bounce into its sender's mailbox. */
  async #finish(job: Job, failure: string | undefined): Promise<void> {
    const { database, domain } = this.#options;
    const at = new Date();
    const bounce =
      failure === undefined || job.submitter === null
        ? undefined
        : await composeBounce({
            domain,
            id: `bounce-${job.id}`,
            sender: job.sender,
            recipient: job.recipient,
            reason: failure,
            raw: job.raw,
            at,
          });
    const summary = bounce === undefined ? undefined : await digest(bounce);
    await database.transact(async client => {
      const { rowCount } = await client.query('delete from relays where id = $1', [job.id]);
      await dropContents(client, [job.contentId]);
      if (rowCount === 0 || bounce === undefined || job.submitter === null) return;
      const due = await claimDeliveries(client, job.submitter, summary!.messageId, [job.sender]);
      if (due.size === 0) return;
      const contentId = await storeContent(client, bounce);
      await place(client, { accountId: job.submitter, folder: 'inbox', contentId, digest: summary!, at });
    });
  }
}
