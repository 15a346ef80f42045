/** Making the fault on the component that a connection meets, and seeing that it was made. */
import type { ClientConnection } from '@resplice/e2e/fixtures/client.ts';
import { servingProxy } from '@resplice/e2e/fixtures/drill.ts';
import type { FaultReport } from '@resplice/engines';
import type { Cell } from './cell.ts';
import type { DrillLab } from './lab.ts';

/** A fault that could not be aimed, or did not fire; it says nothing about the promise. */
export class Inconclusive extends Error {}

export interface Strike {
  readonly target: string;
  /** Of an isolation: whom the target hears no more. */
  readonly from: string | undefined;
  /** Epoch milliseconds at which it had taken effect. */
  readonly at: number;
  /** Its processes before. */
  readonly pids: readonly number[];
  /** Of a restart: resolves when it is back. */
  readonly healing: Promise<unknown>;
}

/** The proxy that the connection's packets meet. */
async function proxyOf({ facts }: DrillLab, { local }: ClientConnection): Promise<string> {
  // Plain routing has one way only.
  return facts.arm === 'forward' ? facts.proxies[0]! : servingProxy(facts, local, facts.balancerSocket);
}

function neighbourOf({ facts }: DrillLab, target: string, fault: Cell['fault']): string | undefined {
  if (fault === 'isolate-lb') return 'lb-1';
  if (fault === 'isolate-logger') return facts.between;
  if (fault === 'isolate-peer') return facts.proxies.find(each => each !== target);
  return fault === 'isolate-backend' ? facts.backends[0] : undefined;
}

function make(
  { engine }: DrillLab,
  fault: Cell['fault'],
  target: string,
  from?: string,
): Promise<FaultReport> {
  if (from !== undefined) return engine.isolate(target, from);
  // Started again by who calls, who does not want to wait until all is well: what comes in between is the point.
  const kind = fault === 'restart' ? 'crash' : (fault as 'crash' | 'cut' | 'freeze');
  return engine[kind](target);
}

/**
 * Breaks the component of the cell that the connection meets.
 *
 * @param backend the one that serves the connection, or will be taken for it
 * @throws Inconclusive when it is a back end's turn and nobody knows which
 */
export async function strike(
  lab: DrillLab,
  { component, fault }: Cell,
  connection: ClientConnection,
  backend: string | undefined,
): Promise<Strike> {
  const target = component === 'proxy' ? await proxyOf(lab, connection) : backend;
  if (target === undefined) throw new Inconclusive('no back end was seen to serve the request');
  const { pids } = await lab.access(target);
  // From a back end: the one that serves, if that is known.
  const from = fault === 'isolate-backend' && backend ? backend : neighbourOf(lab, target, fault);
  const { at } = await make(lab, fault, target, from);
  const healing = fault === 'restart' ? lab.engine.heal(target) : Promise.resolve();
  // Who waits for it hears of its failure; until then nobody does.
  healing.catch(() => {});
  return { target, from, at, pids, healing };
}

/** Why the component is not what the fault makes of it, before it is healed; null: it is. */
export async function notFired(
  lab: DrillLab,
  { fault }: Cell,
  { target, from, pids, healing }: Strike,
): Promise<string | null> {
  // What it did not do is seen, and told, when all is healed.
  await healing.catch(() => {});
  const { state, faults, processes } = await lab.component(target);
  if (fault === 'restart') {
    const left = (await lab.access(target)).pids.filter(pid => pids.includes(pid));
    return left.length === 0 ? null : `${target} still runs process ${left.join(', ')} of before its restart`;
  }
  const kind = from === undefined ? fault : 'isolate';
  if (!faults.some(each => each.kind === kind)) return `${target} is under no ${kind}`;
  if (fault === 'crash' && Object.keys(processes).length > 0) return `${target} runs in spite of its crash`;
  return state === 'up' ? `${target} is up in spite of its ${kind}` : null;
}
