/**
 * The paper's result (P13): Tables 2 and 3, average seconds, from its slides. The links' parameters and the pages' objects are not
 * given there; {@link weights} and the links of these names are calibrated, never "the paper's test bed".
 */

export const actions = ['action1', 'action2'] as const;
export type Action = (typeof actions)[number];

/** The tables' columns, and the link of the lab that stands for each. */
export const columns = [
  { name: 'LAN', link: 'lan-paper', short: 'lan' },
  { name: 'WAN-MIT', link: 'wan-mit', short: 'wan-mit' },
  { name: 'WAN-SG', link: 'wan-sg', short: 'wan-sg' },
  { name: 'WAN-IN', link: 'wan-in', short: 'wan-in' },
] as const;
export type Column = (typeof columns)[number]['name'];

/** As printed, seconds. `failover` is the difference of the two, but for one cell whose sign was lost in print. */
export interface PrintedTimes {
  readonly noFailure: number;
  readonly withFailure: number;
  readonly failover: number;
}

export interface PrintedCell {
  readonly traditional: PrintedTimes;
  readonly ours: PrintedTimes;
  /** Of ours over the traditional one without failure. Percent: truncated; null: none is printed. */
  readonly overhead: { readonly seconds: number; readonly percent: number | null };
}

export interface PrintedTable {
  readonly number: 2 | 3;
  readonly title: string;
  readonly cells: Readonly<Record<Column, PrintedCell>>;
}

type Three = readonly [noFailure: number, withFailure: number, failover: number];

function times([noFailure, withFailure, failover]: Three): PrintedTimes {
  return { noFailure, withFailure, failover };
}

function cell(traditional: Three, ours: Three, seconds: number, percent: number | null): PrintedCell {
  return { traditional: times(traditional), ours: times(ours), overhead: { seconds, percent } };
}

export const printed: Readonly<Record<Action, PrintedTable>> = {
  action1: {
    number: 2,
    title: 'Connecting to the login screen',
    cells: {
      LAN: cell([3.34, 6.44, 3.1], [3.37, 5.1, 1.73], 0.03, 0.89),
      'WAN-MIT': cell([23.0, 35.9, 12.9], [23.6, 25.1, 1.5], 0.6, 2.6),
      'WAN-SG': cell([68.1, 105.5, 37.4], [68.5, 71.45, 2.95], 0.4, 0.58),
      // Printed "(1.5)": negative.
      'WAN-IN': cell([299.2, 373.5, 74.3], [297.7, 314.7, 17.0], -1.5, null),
    },
  },
  action2: {
    number: 3,
    title: 'Logging in; drafting and sending an email; and, logging out',
    cells: {
      LAN: cell([3.72, 6.69, 2.97], [3.83, 4.77, 0.94], 0.11, 2.9),
      'WAN-MIT': cell([7.34, 20.8, 13.46], [7.5, 8.95, 1.45], 0.16, 2.17),
      'WAN-SG': cell([15.74, 45.8, 30.06], [16.9, 20.41, 3.51], 1.16, 7.3),
      // Printed 1.13, but 72.78 - 73.91 = -1.13.
      'WAN-IN': cell([70.84, 128.78, 57.94], [73.91, 72.78, 1.13], 3.07, 4.3),
    },
  },
};

/** What an action has to carry so that the paper's times without failures come out on the links of those names. */
export interface Weight {
  /** Requests, each on a connection of its own. */
  readonly objects: number;
  /** Bytes of each answer's body, on average. */
  readonly bytes: number;
  /** What the server takes for each request, ms, on average. */
  readonly serverMs: number;
}

/** Calibrated: the fit of a closed-form model, T = objects × (2 RTT + server time) + bytes / rate. It is not unique. */
export const weights: Readonly<Record<Action, Weight>> = {
  action1: { objects: 146, bytes: 6559, serverMs: 21.7 },
  action2: { objects: 27, bytes: 8760, serverMs: 136 },
};

/**
 * What the server takes for each page that a browser asks for, ms. The whole of action 1 hangs on one request, and a fault must be
 * able to meet it.
 */
export const browserPageMs: Readonly<Record<Action, number>> = {
  action1: 500,
  action2: weights.action2.serverMs,
};

/** @param scale 0…1: of the number of objects; each stays as it is */
export function scaled(weight: Weight, scale: number): Weight {
  return { ...weight, objects: Math.max(1, Math.round(weight.objects * scale)) };
}

/** What the model makes of an action over a link, seconds. @param rateMbit null: as fast as can be */
export function modelSeconds(weight: Weight, link: { rttMs: number; rateMbit: number | null }): number {
  const { objects, bytes, serverMs } = weight;
  const transfer = link.rateMbit === null ? 0 : (objects * bytes * 8) / (link.rateMbit * 1e6);
  return (objects * (2 * link.rttMs + serverMs)) / 1000 + transfer;
}
