export * from './records.ts';
export * from './sealed.ts';
