/** A cell of the fault matrix (docs/FAULTS.md): which component, what happens to it, when, and during what kind of work. */

export const faultsOf = {
  proxy: [
    'crash',
    'cut',
    'freeze',
    'restart',
    'isolate-lb',
    'isolate-peer',
    'isolate-logger',
    'isolate-backend',
  ],
  backend: ['crash', 'cut', 'freeze', 'restart'],
} as const;

export type Component = keyof typeof faultsOf;
export type FaultKind = (typeof faultsOf)[Component][number];

export const momentNames = ['handshake', 'head', 'upload', 'waiting', 'response', 'tail', 'idle'] as const;
export type MomentName = (typeof momentNames)[number];

/** `read`: deterministic, may be run again. `update`: a POST to a plain server, which must run once. */
export const workloads = ['read', 'update'] as const;
export type Workload = (typeof workloads)[number];

export interface Cell {
  readonly component: Component;
  readonly fault: FaultKind;
  readonly moment: MomentName;
  readonly workload: Workload;
}

export function nameOf({ component, fault, moment, workload }: Cell): string {
  return [component, fault, moment, workload].join('/');
}

/** Nobody uploads what is only to be read. */
function exists(moment: MomentName, workload: Workload): boolean {
  return moment !== 'upload' || workload === 'update';
}

/** In the order of the table. */
export function allCells(): Cell[] {
  return (Object.keys(faultsOf) as Component[]).flatMap(component =>
    faultsOf[component].flatMap(fault =>
      workloads.flatMap(workload =>
        momentNames
          .filter(moment => exists(moment, workload))
          .map(moment => ({ component, fault, moment, workload })),
      ),
    ),
  );
}

const segments = 4;

/** `*` stands for any characters within a segment; what a pattern leaves out at its end may be anything. */
function matcherOf(pattern: string): (name: string) => boolean {
  const parts = pattern.trim().split('/');
  if (parts.length > segments || parts.some(part => !/^[a-z*-]+$/.test(part))) {
    throw new RangeError(`"${pattern}" is not COMPONENT[/FAULT[/MOMENT[/WORKLOAD]]], with * for any`);
  }
  const rest = Array.from({ length: segments - parts.length }, () => '*');
  const expression = [...parts, ...rest].map(part => part.replaceAll('*', '[^/]*')).join('/');
  const regExp = new RegExp(`^${expression}$`);
  return name => regExp.test(name);
}

/**
 * The cells that one of the patterns names, in the order of the table.
 *
 * @param patterns separated by commas: `backend/crash,proxy/cut`
 * @throws RangeError when a pattern is none, or names no cell
 */
export function cellsMatching(patterns: string): Cell[] {
  const cells = allCells();
  const matchers = patterns.split(',').map(pattern => {
    const matches = matcherOf(pattern);
    if (!cells.some(cell => matches(nameOf(cell)))) throw new RangeError(`"${pattern}" names no cell`);
    return matches;
  });
  return cells.filter(cell => matchers.some(matches => matches(nameOf(cell))));
}
