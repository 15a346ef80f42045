// The SMTP server: what smtp-server says and hears, led to those who decide.

import type { AddressInfo } from 'node:net';
import { type Account, CommitInDoubtError, type Database, DatabaseAwayError } from '@resplice/mailstore';
import type { Logger } from 'pino';
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import { Admission } from './admission.ts';
import { type Arrival, Dialogues } from './dialogues.ts';
import { Receiver } from './reception.ts';
import { Relay, type Smarthost } from './relay.ts';
import { SmtpReply, tryLater } from './reply.ts';

export interface SmtpOptions {
  readonly database: Database;
  /** Whose mailboxes are here, lower case. */
  readonly domain: string;
  readonly delegationKey?: string | undefined;
  readonly smarthost?: Smarthost | undefined;
  /** Addresses of back-end loggers: their connections begin with a PROXY header, which says whose transaction it is. */
  readonly proxies?: readonly string[];
  /** Longest message, bytes: 25 MB of attachments, a third more as base64, and some text. */
  readonly maxSize?: number;
  readonly retryPausesMs?: readonly number[];
  readonly giveUpMs?: number;
  readonly log: Logger;
}

export const MAX_MESSAGE = 36_000_000;
const RETRY_PAUSES_MS = [60_000, 300_000, 900_000, 3_600_000, 4 * 3_600_000];
/** RFC 5321 4.5.4.1 asks for four to five days. */
const GIVE_UP_MS = 4 * 24 * 3_600_000;
/** An idle client is sent away, milliseconds (RFC 5321 4.5.3.2.7). */
const IDLE_MS = 300_000;
const CLOSE_MS = 1000;

type Callback<T> = (error?: Error | null, value?: T) => void;

export class SmtpService {
  readonly #options: SmtpOptions;
  readonly #admission: Admission;
  readonly #receiver: Receiver;
  readonly #relay: Relay | undefined;
  readonly #server: Dialogues;

  constructor(options: SmtpOptions) {
    const { database, domain, delegationKey, smarthost, log } = options;
    const { retryPausesMs = RETRY_PAUSES_MS, giveUpMs = GIVE_UP_MS } = options;
    this.#options = options;
    this.#admission = new Admission({ database, domain, delegationKey, relays: smarthost !== undefined });
    const isLocal = (address: string): boolean => this.#admission.isLocal(address);
    this.#receiver = new Receiver({ database, domain, isLocal, giveUpMs });
    this.#relay =
      smarthost === undefined
        ? undefined
        : new Relay({ database, domain, smarthost, pausesMs: retryPausesMs, log });
    this.#server = this.#build();
  }

  /** Takes connections; returns the port, which the system chooses for 0. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    // A client that breaks off is no event of ours.
    this.#server.on('error', error => this.#options.log.debug({ err: error }, 'a client broke off'));
    this.#relay?.wake();
    return (this.#server.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
    await this.#relay?.close();
  }

  #build(): Dialogues {
    const { domain, proxies = [], maxSize = MAX_MESSAGE, log } = this.#options;
    const arrivals = {
      proxies,
      onOpened: ({ header: { route, transaction, caller }, from }: Arrival) =>
        log.info({ from, client: route?.client.address, transaction, ...caller }, 'opened by a logger'),
      onRefused: (from: string, why: string) => log.warn({ from, why }, 'refused'),
    };
    return new Dialogues(arrivals, {
      name: domain,
      banner: 'Resplice',
      size: maxSize,
      authOptional: true,
      // There is no TLS in the tier: AUTH goes over the network between servers, which nobody else is on.
      disabledCommands: ['STARTTLS'],
      allowInsecureAuth: true,
      disableReverseLookup: true,
      hideENHANCEDSTATUSCODES: true,
      socketTimeout: IDLE_MS,
      closeTimeout: CLOSE_MS,
      onAuth: ({ username = '', password }, session, callback) =>
        this.#answer(callback, async () => {
          const account = await this.#admission.login(username, password ?? '', session.remoteAddress);
          return { user: account };
        }),
      onMailFrom: ({ address }, session, callback) =>
        this.#answer(callback, async () => {
          this.#admission.checkSender(address, accountOf(session));
        }),
      onRcptTo: ({ address }, session, callback) =>
        this.#answer(callback, async () => {
          const before = session.envelope.rcptTo.length;
          await this.#admission.checkRecipient(address, accountOf(session), before);
        }),
      onData: (stream, session, callback) =>
        this.#answer(callback, () => this.#receive(stream, session, maxSize), session),
    });
  }

  async #receive(stream: SMTPServerDataStream, session: SMTPServerSession, maxSize: number): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of stream) {
      // Read to the end whatever its size: the client listens only then.
      if (!stream.sizeExceeded) parts.push(part as Buffer);
    }
    if (stream.sizeExceeded) throw new SmtpReply(552, `5.3.4 Larger than ${maxSize} bytes`);
    const { mailFrom, rcptTo } = session.envelope;
    const arrival = this.#server.arrivalOf(session);
    const reception = await this.#receiver.receive({
      account: accountOf(session),
      sender: mailFrom === false ? '' : mailFrom.address,
      recipients: rcptTo.map(({ address }) => address),
      greeting: session.hostNameAppearsAs || 'unknown',
      // Where a user of the webmail sits is not for his mail's readers.
      source: arrival?.from ?? session.remoteAddress,
      protocol: session.transmissionType,
      raw: Buffer.concat(parts),
    });
    this.#options.log.info({ ...reception, transaction: arrival?.header.transaction }, 'received');
    if (reception.relayed > 0) this.#relay?.wake();
    return `2.0.0 Accepted ${reception.messageId}`;
  }

  #cutOff({ id }: SMTPServerSession): void {
    for (const connection of this.#server.connections) if (connection.id === id) connection.close();
  }

  /** Turns whatever happens into one reply. */
  #answer<T>(callback: Callback<T>, work: () => Promise<T>, session?: SMTPServerSession): void {
    work().then(
      value => callback(null, value),
      (error: unknown) => {
        if (error instanceof SmtpReply) return callback(error);
        const level = error instanceof DatabaseAwayError ? 'warn' : 'error';
        this.#options.log[level]({ err: error }, 'a client is asked to come again');
        // It may be delivered: any reply would be a lie. The client hears none, and sends the same message again.
        if (error instanceof CommitInDoubtError && session !== undefined) return this.#cutOff(session);
        callback(tryLater(error));
      },
    );
  }
}

function accountOf(session: SMTPServerSession): Account | undefined {
  return session.user as Account | undefined;
}
