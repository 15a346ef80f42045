export * from './daemon-config.ts';
export * from './host.ts';
export * from './network.ts';
export { fabricSysctls } from './sysctls.ts';
export * from './topology.ts';
