/** One run of an action, and all that was seen of it: a line of `runs.jsonl`. */
import type { Action } from './reference.ts';

/** `paper`: one new connection an object, one at a time. `chromium`: a browser of today. */
export const clientKinds = ['paper', 'chromium'] as const;
export type ClientKind = (typeof clientKinds)[number];

/** `traditional`: HAProxy before the same webmail. `ours`: the whole tier. */
export const architectures = ['traditional', 'ours'] as const;
export type Architecture = (typeof architectures)[number];

export const faultNames = ['none', 'backend-crash', 'backend-cut', 'proxy-crash', 'proxy-cut'] as const;
export type FaultName = (typeof faultNames)[number];

/** What tells one run from all others of its results. */
export interface RunKey {
  readonly client: ClientKind;
  readonly action: Action;
  /** Name of the lab's link. */
  readonly link: string;
  readonly architecture: Architecture;
  readonly fault: FaultName;
  /** From 1. */
  readonly repetition: number;
}

export function keyOf({ client, action, link, architecture, fault, repetition }: RunKey): string {
  return [client, action, link, architecture, fault, repetition].join('/');
}

/** One request as the client saw it; times are milliseconds since the run's start. */
export interface Request {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  /** Of its body. */
  readonly bytes: number;
  /** Null: no complete answer. */
  readonly status: number | null;
  /** What the client knows its TCP connection by; null: it had none, or nothing came on it. */
  readonly connection: string | null;
}

/** What a person noticed, and when (ms since the run's start). */
export interface Noticed {
  readonly what: 'error' | 'silence' | 'logged-out';
  readonly at: number;
  readonly detail: string;
}

export interface Fired {
  readonly target: string;
  /** When it had taken effect, ms since the run's start. */
  readonly at: number;
  /** Requests complete by then, and of how many in the end. */
  readonly completed: number;
  readonly of: number;
  /** What the action was doing. */
  readonly step: string;
}

/** `complete`: the person got what was wanted. `failed`: not at all, or bytes were wrong. `inconclusive`: the fault missed. */
export type RunVerdict = 'complete' | 'failed' | 'inconclusive';

export interface PaperRun extends RunKey {
  readonly version: 2;
  readonly seed: number;
  readonly scale: number;
  /** ISO 8601. */
  readonly at: string;
  readonly verdict: RunVerdict;
  /** Null when complete. */
  readonly reason: string | null;
  /** From the first request until the last object of the last page; null: never. */
  readonly seconds: number | null;
  readonly fired: Fired | null;
  readonly bytes: number;
  /** Answers whose bytes were not what their name or length promised. */
  readonly wrongAnswers: number;
  readonly noticed: readonly Noticed[];
  readonly reloads: number;
  readonly repeatedLogins: number;
  /** How often the letter is in the recipient's inbox; null: none was sent. */
  readonly deliveries: number | null;
  /** Median of bare connection set-ups before the link's runs, ms. */
  readonly measuredRttMs: number;
  readonly emulator: string;
  readonly requests: readonly Request[];
}
