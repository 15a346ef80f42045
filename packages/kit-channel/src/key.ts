import { deriveKey } from '@resplice/protocol';

/**
 * The kits' key.
 * @param tierKey 32 bytes; RangeError otherwise
 * @returns 32 bytes
 */
export function kitKeyOf(tierKey: Uint8Array): Uint8Array {
  return deriveKey(tierKey, 'kit', 32);
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
