export { Detector } from './detector.ts';
export { RequestClasses, requestClass } from './request-class.ts';
export { type Bounds, DEFAULT_SETTINGS, type DetectorSettings, type TimeoutBounds } from './settings.ts';
export type { Watch } from './watch.ts';
