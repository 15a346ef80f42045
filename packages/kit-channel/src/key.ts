import { createSecretKey, type KeyObject } from 'node:crypto';
import { deriveKey } from '@resplice/protocol';

/**
 * The kits' key.
 * @param tierKey 32 bytes; RangeError otherwise
 * @returns 32 bytes
 */
export function kitKeyOf(tierKey: Uint8Array): Uint8Array {
  return deriveKey(tierKey, 'kit', 32);
}

const keys = new WeakMap<Uint8Array, KeyObject>();

/** These bytes as a key for MACs. Node finds out anew each time what bytes are that it is given, and that takes longer than the MAC. */
export function macKey(bytes: Uint8Array): KeyObject {
  const key = keys.get(bytes) ?? createSecretKey(bytes);
  keys.set(bytes, key);
  return key;
}

/** The pre-shared key of channels. */
export function channelKey(kitKey: Uint8Array): Buffer {
  return Buffer.from(deriveKey(kitKey, 'channel', 32));
}

/** TLS 1.2, since Node offers pre-shared keys there alone; with forward secrecy (RFC 7905 §3). */
export const tlsOptions = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
} as const;
