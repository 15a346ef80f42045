// Password files as `htpasswd -B` writes them: `user:$2y$10$…`, one a line, `#` begins a comment.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { Problem } from './problem.ts';

/** Reads a whole text file; throws as `readFileSync` does. */
export type ReadText = (file: string) => string;

/** User → bcrypt hash. */
export type Users = ReadonlyMap<string, string>;

/** Longest file that is read, bytes: some 13,000 users. */
const MAX_FILE = 1_048_576;
/** Above, a single sign-in takes seconds of CPU: an attacker's tool rather than a user's protection. */
export const MAX_COST = 14;
const CHEAP_COST = 8;

const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const REMEDY = 'write it with htpasswd -B -C 10';

export type CheckedHtpasswd = { unreadable: string } | { users: Users; problems: Problem[] };

/** Checks a password file. Never throws. */
export function checkHtpasswd(file: string, readText: ReadText = readRegularFile): CheckedHtpasswd {
  let text: string;
  try {
    text = readText(file);
  } catch (error) {
    return { unreadable: reasonOf(error) };
  }
  const users = new Map<string, string>();
  const lines = new Map<string, number>();
  const problems: Problem[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const entry = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (/^\s*(?:#|$)/.test(entry)) continue;
    const line = index + 1;
    const add = (column: number, user: string, sentence: string, severity: Problem['severity'] = 'error') =>
      problems.push({ severity, file, line, column, path: user, sentence });
    const colon = entry.indexOf(':');
    if (colon < 0) {
      add(1, '', 'must be USER:HASH');
      continue;
    }
    const user = entry.slice(0, colon);
    const hash = entry.slice(colon + 1);
    const before = lines.get(user);
    if (!/^[^\p{Cc}]+$/u.test(user) || user !== user.trim()) {
      const sentence =
        user === '' ? 'has no user before the colon' : 'has white space or control characters in the user';
      add(1, '', sentence);
    } else if (before !== undefined) {
      add(1, user, `is a user already on line ${before}; programs differ in which one counts`);
    } else {
      lines.set(user, line);
      const verdict = judgeHash(hash);
      if (verdict.problem) add(colon + 2, user, verdict.problem, verdict.severity);
      if (verdict.severity !== 'error') users.set(user, hash);
    }
  }
  if (users.size === 0 && problems.length === 0)
    problems.push({
      severity: 'error',
      file,
      line: 1,
      column: 1,
      path: '',
      sentence: 'has no user: nobody could sign in',
    });
  return { users, problems };
}

interface HashVerdict {
  problem?: string;
  severity?: Problem['severity'];
}

function judgeHash(hash: string): HashVerdict {
  const parts = BCRYPT.exec(hash);
  if (!parts) return { problem: `${kindOf(hash)}, not a bcrypt hash: ${REMEDY}`, severity: 'error' };
  const cost = Number(parts[1]);
  if (cost < 4 || cost > MAX_COST)
    return {
      problem: `has bcrypt cost ${cost}, which must be within 4…${MAX_COST}: ${REMEDY}`,
      severity: 'error',
    };
  if (cost < CHEAP_COST)
    return { problem: `has bcrypt cost ${cost}, which is quickly guessed: ${REMEDY}`, severity: 'warning' };
  return {};
}

/** What it is instead; never the hash itself, which would end in a log. */
function kindOf(hash: string): string {
  if (hash.startsWith('$apr1$') || hash.startsWith('$1$')) return 'is an MD5 hash';
  if (hash.startsWith('{SHA}')) return 'is an unsalted SHA-1 hash';
  if (hash.startsWith('$5$') || hash.startsWith('$6$')) return 'is a SHA crypt hash';
  if (hash.startsWith('$argon2')) return 'is an Argon2 hash';
  if (/^\$2[abxy]?\$/.test(hash)) return 'is a damaged bcrypt hash';
  if (/^[./A-Za-z0-9]{13}$/.test(hash)) return 'is a DES crypt hash';
  return 'is plain text or unknown';
}

/** Only regular files: a FIFO would block for ever, a device would never end. */
export function readRegularFile(file: string): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error('not a regular file');
    if (stat.size > MAX_FILE) throw new Error(`longer than ${MAX_FILE} bytes`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'cannot be read: permission denied';
  if (code === 'EISDIR') return 'is a directory';
  return `cannot be read: ${message}`;
}
