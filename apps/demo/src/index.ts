export { buildDemo, type DemoOptions } from './app.ts';
export {
  BLOCK_BYTES,
  firstDifference,
  HUNDRED_MB,
  HUNDRED_MB_SHA256,
  MAX_BYTES,
  PatternStream,
  patternBlock,
  patternSlice,
} from './byte-pattern.ts';
export { type SiteFile, siteFiles } from './site-files.ts';
