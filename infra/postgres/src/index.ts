export * from './cluster.ts';
export * from './installation.ts';
