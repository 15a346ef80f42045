// What another engine is made of: the lab's file and lock, targets, and what is told of components.

export { adminGet } from './admin-client.ts';
export { type DaemonStatus, readDaemonStatus } from './daemon-status.ts';
export { noteDrain, untilEmpty } from './drain.ts';
export { notUp } from './errors.ts';
export { adoptSite } from './followed-site.ts';
export { problemsAmong, textOf } from './health.ts';
export { askDaemon, type HostInspection, type ProcessInspection } from './inspection.ts';
export { isolatedFrom, isolateOn, requireNeighbours, reuniteOn } from './isolation.ts';
export {
  findLab,
  type Lab,
  nameOf,
  noteFault,
  requireComponent,
  requireHost,
  requireLab,
  requireTarget,
  type Target,
} from './lab.ts';
export { withLabLock } from './lab-lock.ts';
export {
  drainedOf,
  type Fault,
  isFaulted,
  isWithin,
  type LabState,
  readLabState,
  topologyOf,
  writeLabState,
} from './lab-state.ts';
export { statusFrom } from './lab-status.ts';
export { pointsOf, requirePoint } from './points.ts';
export { isAlive, isStopped, livingProcesses, type ProcessEntry, processEntry } from './process-table.ts';
export { hasTaken, inWaves } from './reload.ts';
export { hasRemains } from './sweep.ts';
export { traceIn } from './trace.ts';
export { kitFrom } from './webmail-status.ts';
