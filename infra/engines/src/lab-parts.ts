// What another engine is made of: the lab's file and lock, targets, and what is told of components.

export { adminGet } from './admin-client.ts';
export { notUp } from './errors.ts';
export { askDaemon, type HostInspection, type ProcessInspection } from './inspection.ts';
export {
  findLab,
  type Lab,
  requireComponent,
  requireHost,
  requireLab,
  requireTarget,
  type Target,
} from './lab.ts';
export { withLabLock } from './lab-lock.ts';
export { type Fault, isFaulted, isWithin, type LabState, readLabState, writeLabState } from './lab-state.ts';
export { statusFrom } from './lab-status.ts';
export { isAlive, processEntry } from './process-table.ts';
export { hasRemains } from './sweep.ts';
export { traceIn } from './trace.ts';
export { kitFrom } from './webmail-status.ts';
