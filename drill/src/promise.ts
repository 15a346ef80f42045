/** What docs/FAULTS.md promises for a cell. */
import type { ClientLink } from '@resplice/topology';
import type { Cell } from './cell.ts';

/**
 * `transparent`: same connection, same bytes, each side effect once. `refused`: that, or a complete 502 or 503 on the open
 * connection and nothing executed twice. `reset`: transparent, or a reset, the only honest answer there; nothing executed twice.
 */
export type PromiseKind = 'transparent' | 'refused' | 'reset';

export interface Promised {
  readonly kind: PromiseKind;
  /** Added stall allowed as a median, ms; null: no figure is promised. */
  readonly barMs: number | null;
}

const PROXY_MS = 300;
/** A freeze takes as long as the adaptive time-out, which is nobody's constant. */
const BACKEND_MS = { crash: 50, cut: 250, restart: 50, freeze: null } as const;
/** What has come of an upload is delivered again first: about 20 MB, at 100 MB/s. */
const REDELIVERY_MS = 200;

function kindOf({ component, fault, moment, workload }: Cell): PromiseKind {
  if (component === 'proxy' || workload === 'read') return 'transparent';
  if (moment === 'waiting') return 'refused';
  // Whoever falls silent is found out after a while: what it was sent meanwhile may have run.
  const isSilent = fault === 'cut' || fault === 'freeze';
  if (isSilent && (moment === 'handshake' || moment === 'idle')) return 'refused';
  return moment === 'response' ? 'reset' : 'transparent';
}

/** What a lost retransmission costs on top of its round trip, ms. */
const RETRANSMISSION_MS = 200;

/** Far away: two round trips more, the time to carry again what a queue held, and one more time-out where packets get lost. */
function linkMs({ rttMs, rateMbit, lossPercent, queuePackets }: ClientLink): number {
  const queueMs = rateMbit === null ? 0 : (queuePackets * 1500 * 8) / (rateMbit * 1000);
  return 2 * rttMs + queueMs + (lossPercent > 0 ? RETRANSMISSION_MS + rttMs : 0);
}

export function promiseOf(cell: Cell, link: ClientLink): Promised {
  const again = cell.component === 'backend' && cell.moment === 'upload' ? REDELIVERY_MS : 0;
  const ofBackend = BACKEND_MS[cell.fault as keyof typeof BACKEND_MS];
  const barMs = cell.component === 'proxy' ? PROXY_MS : ofBackend && ofBackend + again;
  return { kind: kindOf(cell), barMs: barMs === null ? null : barMs + linkMs(link) };
}
