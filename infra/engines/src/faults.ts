import type { Host, HostProcess } from '@resplice/topology';
import { removePins } from './bpf-filesystem.ts';
import { connectHost, removeLinks, setPorts } from './host-network.ts';
import type { Lab, Target } from './lab.ts';
import { type Fault, hasFault, writeLabState } from './lab-state.ts';
import { type LaunchContext, launch } from './launch.ts';
import { alreadyGone, inodesOf } from './namespaces.ts';
import { netnsOf } from './place.ts';
import { isAlive, killFamily, killNamespaces } from './process-table.ts';

/** A back end's crash leaves its kernel running; any other component goes as a whole machine (CLI.md). */
function dropsAsMachine(host: Host): boolean {
  return host.role !== 'backend';
}

function nameOf({ host, process }: Target): string {
  return process ? `${host.name}/${process.name}` : host.name;
}

/** Notes a fault before it is made, so that `heal` finds it even if we die in the middle. */
function note({ place, state }: Lab, kind: Fault['kind'], target: string): void {
  state.faults = state.faults.filter(fault => fault.kind !== kind || fault.target !== target);
  state.faults.push({ kind, target, at: Date.now() });
  writeLabState(place, state);
}

async function killHost({ place }: Lab, host: Host): Promise<void> {
  await killNamespaces(inodesOf([netnsOf(place, host.name)]));
}

/**
 * The machine is gone. Its links fall silent first: its kernel must not get to tell anybody, with a FIN, an RST or
 * an ICMP error, that its processes died.
 */
async function dropMachine(lab: Lab, host: Host): Promise<void> {
  const { place, topology } = lab;
  await setPorts(place, host, 'silent', { tolerate: alreadyGone });
  await killHost(lab, host);
  await removeLinks(place, topology, host);
  removePins(place, host.name);
}

/** SIGKILL; returns the epoch milliseconds at which it had taken effect. The lab's lock must be held. */
export async function crash(lab: Lab, target: Target): Promise<number> {
  const { host, process } = target;
  note(lab, 'crash', nameOf(target));
  if (!process) await (dropsAsMachine(host) ? dropMachine(lab, host) : killHost(lab, host));
  else {
    const identity = lab.state.processes[host.name]?.[process.name];
    if (identity) await killFamily(identity);
  }
  return Date.now();
}

/** The host's links fall silent; its processes live on. The lab's lock must be held. */
export async function cut(lab: Lab, host: Host): Promise<number> {
  note(lab, 'cut', host.name);
  // A machine that is gone has no ports left to silence.
  if (!(hasFault(lab.state, 'crash', host.name) && dropsAsMachine(host))) {
    await setPorts(lab.place, host, 'silent');
  }
  return Date.now();
}

/** Starts those of the host's processes that do not run. The lab's lock must be held. */
export async function startMissing(
  lab: Lab,
  context: LaunchContext,
  host: Host,
  processes: readonly HostProcess[] = host.processes,
): Promise<void> {
  const { place, state } = lab;
  state.processes[host.name] ??= {};
  const known = state.processes[host.name]!;
  for (const process of processes) {
    const identity = known[process.name];
    if (!identity || !isAlive(identity)) known[process.name] = await launch(context, host, process);
  }
  writeLabState(place, state);
}

/** Undoes every fault of the target, and starts what died without one. The lab's lock must be held. */
export async function revive(lab: Lab, context: LaunchContext, target: Target): Promise<void> {
  const { place, topology, state } = lab;
  const { host, process } = target;
  if (process) {
    await startMissing(lab, context, host, [process]);
    state.faults = state.faults.filter(fault => fault.target !== nameOf(target));
    writeLabState(place, state);
    return;
  }
  if (hasFault(state, 'crash', host.name) && dropsAsMachine(host)) {
    // A crash that was interrupted may have left half of it.
    await removeLinks(place, topology, host);
    await connectHost(place, topology, host);
  } else if (hasFault(state, 'cut', host.name)) {
    await setPorts(place, host, 'forwarding');
  }
  await startMissing(lab, context, host);
  state.faults = state.faults.filter(
    ({ target: other }) => other !== host.name && !other.startsWith(`${host.name}/`),
  );
  writeLabState(place, state);
}
