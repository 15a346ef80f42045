import { deriveKey } from '@resplice/protocol';

/**
 * A role's password: who has the cluster key need not be told. Hex.
 * @param key the cluster key, 32 bytes
 */
export function passwordOf(key: Uint8Array, role: string): string {
  return Buffer.from(deriveKey(key, `database role ${role}`, 32)).toString('hex');
}
