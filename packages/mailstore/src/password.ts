// Passwords: scrypt with OWASP's least cost for it (N 2^15, r 8, p 3: about 32 MiB each).

import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

const LOG_N = 15;
const R = 8;
const P = 3;
const BYTES = 32;
/** Longer ones are not hashed: the time that takes would be the attacker's to choose. */
export const MAX_PASSWORD = 256;
export const MIN_PASSWORD = 8;

async function hash(password: string, salt: Buffer, logN: number, r: number, p: number): Promise<Buffer> {
  const N = 2 ** logN;
  return await derive(password.normalize('NFKC'), salt, BYTES, { N, r, p, maxmem: 256 * N * r });
}

/** `scrypt$15$8$3$salt$hash`: with its costs, so that these can be raised later. */
export async function hashPassword(password: string, salt = randomBytes(16), logN = LOG_N): Promise<string> {
  const digest = await hash(password, salt, logN, R, P);
  return ['scrypt', logN, R, P, salt.toString('base64url'), digest.toString('base64url')].join('$');
}

/** What nobody's password hashes to: verifying against it takes as long as against a real one. */
const NOBODY = `scrypt$${LOG_N}$${R}$${P}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** False also for an account that is not there (`undefined`), and after the same time. */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  if (password.length > MAX_PASSWORD) return false;
  const [scheme, logN, r, p, salt, digest] = (stored ?? NOBODY).split('$');
  if (scheme !== 'scrypt' || digest === undefined) return false;
  const expected = Buffer.from(digest, 'base64url');
  const actual = await hash(password, Buffer.from(salt!, 'base64url'), Number(logN), Number(r), Number(p));
  return timingSafeEqual(expected, actual) && stored !== undefined;
}
