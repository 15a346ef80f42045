export { type KitConfig, KitConfigError, readKitConfig } from './config.ts';
export { Kit, MAX_RESPONSE } from './kit.ts';
export { type BackendKit, backendKit, TagError } from './plugin.ts';
export type { KitLog } from './records.ts';
export type { SessionStore, SessionStoreOptions } from './session-store.ts';
export type { RouteTags } from './tags.ts';
export { OwnTransaction, type Transaction } from './transaction.ts';
