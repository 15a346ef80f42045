export * from './backends.ts';
export * from './dialer.ts';
export * from './wire.ts';
