// What the relays of both protocols are made of.

import type { Log } from '@resplice/service-kit';
import type { Claims } from './claims.ts';
import type { Limits, ServiceConfig } from './config.ts';
import type { Arrival } from './gate.ts';
import type { Outcomes } from './outcomes.ts';
import type { AuxiliaryTally } from './tally.ts';

export interface ServiceOptions {
  readonly service: ServiceConfig;
  readonly claims: Claims;
  readonly outcomes: Outcomes;
  readonly limits: Limits;
  readonly tally: AuxiliaryTally;
  readonly log: Log;
  /** An error that is no peer's fault. */
  fail(error: Error): void;
}

export interface AuxiliaryRelay {
  /** Dialogues or exchanges that are spoken in, or kept for a successor. */
  readonly size: number;
  receive(arrival: Arrival): void;
  close(): void;
}
