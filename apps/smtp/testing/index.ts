export * from './faulty-path.ts';
