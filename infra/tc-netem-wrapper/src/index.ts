export type { EmulatorName, LinkCounters } from './backend.ts';
export type { LineCounters } from './delay-line.ts';
export * from './link.ts';
export {
  checkShape,
  type Direction,
  type Queue,
  type Shape,
  ShapeError,
  type ShapeInput,
  wire,
} from './shape.ts';
export { type NetemSupport, netemSupport } from './support.ts';
