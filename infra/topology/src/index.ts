export * from './arm.ts';
export * from './client-link.ts';
export * from './daemon-config.ts';
export * from './host.ts';
export * from './network.ts';
export { serverConfig } from './server-config.ts';
export { plainSite } from './site.ts';
export { fabricSysctls } from './sysctls.ts';
export * from './topology.ts';
