export type { Knowledge } from './answer-records.ts';
export { type ConnectionId, connectionKey, type Entry, tupleKey } from './connection.ts';
export { type ClientOffer, type HeadPart, MAX_SEGMENT_BYTES, type SegmentRecord } from './head-records.ts';
export * from './proxy-arrival.ts';
export * from './proxy-header.ts';
export * from './records.ts';
export * from './sealed.ts';
