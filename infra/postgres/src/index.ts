export * from './cluster.ts';
export * from './installation.ts';
export * from './password.ts';
