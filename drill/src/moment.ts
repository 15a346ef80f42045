/**
 * The moments of a connection's life at which a fault may fall (docs/FAULTS.md): each brings one or more connections there, has
 * the fault made, and sees whether it met the moment.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientConnection, Transfer } from '@resplice/e2e/fixtures/client.ts';
import { type Exchange, ExchangeError } from '@resplice/e2e/fixtures/exchange.ts';
import type { Cell, MomentName } from './cell.ts';
import { holdBack } from './hold-back.ts';
import type { LabFacts } from './lab.ts';
import type { Site, Work } from './site.ts';
import { Inconclusive } from './strike.ts';
import type { Witness } from './witness.ts';

/** What a moment is given to work with. */
export interface Stage {
  readonly cell: Cell;
  readonly facts: LabFacts;
  readonly site: Site;
  /** Null: the site tells nothing. */
  readonly witness: Witness | null;
  /** The same for the same seed, cell and run: 0…1. */
  readonly draw: number;
  /** Of this run's first request; others are numbered. */
  readonly token: string;
  connect(): Promise<ClientConnection>;
  /**
   * Makes the fault. @returns the epoch milliseconds at which it had taken effect; undefined in a run without one
   * @throws Inconclusive when it cannot be aimed
   */
  strike(connection: ClientConnection, backend: string | undefined): Promise<number | undefined>;
}

/** A request on its connection, and what became of it. */
export interface Attempt {
  readonly connection: ClientConnection;
  readonly token: string;
  readonly work: Work;
  readonly ended: Ended;
  /** Why the fault has not met this request's moment; null: it has. */
  readonly missed: string | null;
}

export type Ended = { readonly exchange: Exchange } | { readonly broken: ExchangeError['failure'] };

export type Moment = (stage: Stage) => Promise<Attempt[]>;

/** How long the site may take to tell of a request, ms. */
const TOLD_MS = 3000;
/** About 140 bytes of head take a second. */
const HEAD_PIECES = { bytes: 20, pauseMs: 150 };
/**
 * How long an answer is held back, ms: beyond a sender's second time-out (200 + 400) and well before its third (800 more), with a
 * fault or without one. Else the time that the fault takes would decide which of them brings the answer.
 */
const HELD_MS = 1000;
/** So many connections for each back end that one of them meets the struck one, whichever is taken for it. */
const CONNECTIONS_PER_BACKEND = 2;

interface UnderWay extends Omit<Attempt, 'ended' | 'missed'> {
  readonly transfer: Transfer;
  readonly done: Promise<Ended>;
  /** Epoch milliseconds; undefined while it has not ended. */
  endedAt(): number | undefined;
}

async function endOf(transfer: Transfer): Promise<Ended> {
  try {
    return { exchange: await transfer.done };
  } catch (error) {
    if (error instanceof ExchangeError) return { broken: error.failure };
    throw error;
  }
}

function begin(
  { cell, site, token }: Stage,
  connection: ClientConnection,
  { number = 0, pieces = false }: { number?: number; pieces?: boolean } = {},
): UnderWay {
  const own = number === 0 ? token : `${token}-${number}`;
  const work = site.work(cell.moment, cell.workload, own);
  const transfer = connection.request({ ...work.request, ...(pieces ? { headPieces: HEAD_PIECES } : {}) });
  let at: number | undefined;
  const done = endOf(transfer).finally(() => {
    at = Date.now();
  });
  return { connection, token: own, work, transfer, done, endedAt: () => at };
}

/** Waits until the request has come so far; it may end before. */
async function reached(mark: Promise<void>): Promise<void> {
  // That it has ended is told by its end.
  await mark.catch(() => {});
}

/** Makes the fault while the request is under way. `isOver` tells, right afterwards, that the moment had passed. */
async function struck(
  stage: Stage,
  under: UnderWay,
  backend: string | undefined,
  isOver: () => string | null = () => null,
): Promise<Attempt> {
  const { connection, token, work, done, endedAt } = under;
  if (endedAt() !== undefined) {
    return { connection, token, work, ended: await done, missed: 'the request had ended before the fault' };
  }
  const at = await stage.strike(connection, backend);
  const over = isOver();
  const ended = await done;
  // A connection that breaks meanwhile, or a refusal, has met the fault, which takes effect before all of it is made; an answer has not.
  const tooLate =
    at !== undefined && 'exchange' in ended && ended.exchange.status < 500 && ended.exchange.endedAt < at
      ? 'the request had ended before the fault took effect'
      : null;
  return { connection, token, work, ended, missed: tooLate ?? over };
}

/** A connection that has served a request before. */
async function used(stage: Stage): Promise<{ connection: ClientConnection; backend: string | undefined }> {
  const connection = await stage.connect();
  const { status, backend } = await stage.site.ask(connection);
  if (status !== 200) throw new Inconclusive(`a request before the fault was answered with ${status}`);
  return { connection, backend };
}

/** Of the back ends that a new connection may be given, the one that is broken. */
function candidate({ facts, draw }: Stage): string {
  const able = facts.arm === 'forward' ? 1 : facts.backends.length;
  return facts.backends[Math.floor(draw * able)]!;
}

/** SYN-ACK sent, no data yet. Nobody has chosen a back end: many connections then, whose first bytes meet the fault. */
const handshake: Moment = async stage => {
  const { cell, facts } = stage;
  const count = cell.component === 'backend' ? CONNECTIONS_PER_BACKEND * facts.backends.length : 1;
  const connections = await Promise.all(Array.from({ length: count }, () => stage.connect()));
  await stage.strike(connections[0]!, candidate(stage));
  return Promise.all(
    connections.map(async (connection, number) => {
      const { token, work, done } = begin(stage, connection, { number });
      return { connection, token, work, ended: await done, missed: null };
    }),
  );
};

/** The head arrives in pieces: a connection's first towards a proxy, a later one towards the back end that has the connection. */
const head: Moment = async stage => {
  const { connection, backend } =
    stage.cell.component === 'proxy'
      ? { connection: await stage.connect(), backend: undefined }
      : await used(stage);
  const under = begin(stage, connection, { pieces: true });
  await reached(under.transfer.headSent(2 * HEAD_PIECES.bytes));
  let at: number | undefined;
  const noting: Stage = {
    ...stage,
    strike: async (...aim) => {
      at = await stage.strike(...aim);
      return at;
    },
  };
  const attempt = await struck(noting, under, backend);
  const sentAt = 'exchange' in attempt.ended ? attempt.ended.exchange.headSentAt : Number.POSITIVE_INFINITY;
  const late = at !== undefined && sentAt < at ? 'the whole head had been sent before the fault' : null;
  return [{ ...attempt, missed: attempt.missed ?? late }];
};

/** Part of the body has been sent. */
const upload: Moment = async stage => {
  const { connection, backend } = await used(stage);
  const under = begin(stage, connection);
  const { transfer, work, token } = under;
  await reached(transfer.sent(mark(stage, work)));
  const holder = stage.witness?.holderOf(token) ?? backend;
  const isOver = () => (transfer.progress.sent < work.bytes ? null : 'the whole body had been sent');
  return [await struck(stage, under, holder, isOver)];
};

/** Where in a transfer the fault is asked for: in its second fifth, which leaves time to make it. */
function mark({ draw }: Stage, { bytes }: Work): number {
  return Math.floor(bytes * (0.2 + 0.2 * draw));
}

/** The site has the whole request, has done what is asked, and says nothing yet. */
const waiting: Moment = async stage => {
  const { connection } = await used(stage);
  const under = begin(stage, connection);
  const step = stage.cell.workload === 'update' ? 'executed' : 'begin';
  const holder = await stage.witness?.seen(under.token, step, TOLD_MS);
  const isOver = () =>
    stage.witness?.stepsOf(under.token).includes('finish') ? 'the answer had been given' : null;
  return [await struck(stage, under, holder, isOver)];
};

/** Part of the answer has come. */
const response: Moment = async stage => {
  const { connection } = stage.site.keepsAlive ? await used(stage) : { connection: await stage.connect() };
  const under = begin(stage, connection);
  const { transfer, work, token } = under;
  await reached(transfer.received(mark(stage, work)));
  const holder = stage.witness ? stage.witness.holderOf(token) : await stage.site.served(connection);
  const isOver = () => (transfer.progress.received < work.bytes ? null : 'the whole answer had come');
  return [await struck(stage, under, holder, isOver)];
};

/** The answer is on its way as a whole, and nothing of it is acknowledged. */
const tail: Moment = async stage => {
  const { connection } = await used(stage);
  const letThrough = await holdBack(stage.facts.clientNamespace, connection.local);
  try {
    const under = begin(stage, connection);
    const heldUntil = performance.now() + HELD_MS;
    const sender = await stage.witness?.seen(under.token, 'finish', TOLD_MS);
    if (sender === undefined) throw new Inconclusive('no back end was seen to send the whole answer');
    const releasing: Stage = {
      ...stage,
      strike: async (...aim) => {
        const at = await stage.strike(...aim);
        await delay(Math.max(0, heldUntil - performance.now()));
        await letThrough();
        return at;
      },
    };
    const isOver = () => (under.transfer.progress.received === 0 ? null : 'part of the answer had come');
    return [await struck(releasing, under, sender, isOver)];
  } finally {
    await letThrough();
  }
};

/** Kept alive between two requests. */
const idle: Moment = async stage => {
  const { connection, backend } = await used(stage);
  await stage.strike(connection, backend);
  const { token, work, done } = begin(stage, connection);
  return [{ connection, token, work, ended: await done, missed: null }];
};

export const moments: Readonly<Record<MomentName, Moment>> = {
  handshake,
  head,
  upload,
  waiting,
  response,
  tail,
  idle,
};
