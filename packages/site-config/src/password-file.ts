import { statSync } from 'node:fs';
import { BasicAuth } from './basic-auth.ts';
import type { Compare } from './bcrypt-thread.ts';
import { checkHtpasswd, type ReadText } from './htpasswd.ts';
import { formatProblem } from './problem.ts';

/** Between two looks whether the file has changed, ms. */
const LOOK_MS = 1000;

export interface PasswordFileOptions {
  /** Reads the disk if absent. */
  readText?: ReadText | undefined;
  /** Milliseconds, monotonic. */
  now?: () => number;
}

/**
 * A password file that is followed as it is: who is taken out of it is out a second later. A change that cannot be followed is not;
 * the users stay who they were until the file is right again.
 */
export class PasswordFile {
  readonly #file: string;
  readonly #compare: Compare;
  readonly #options: Required<Pick<PasswordFileOptions, 'now'>> & PasswordFileOptions;
  #auth: BasicAuth;
  /** Tells the versions of the file apart. */
  #version: string;
  #lookedMs: number;

  /**
   * @param compare a `BcryptThread`'s
   * @throws Error when the file cannot be followed
   */
  constructor(file: string, compare: Compare, options: PasswordFileOptions = {}) {
    this.#file = file;
    this.#compare = compare;
    this.#options = { now: () => performance.now(), ...options };
    this.#lookedMs = this.#options.now();
    this.#version = versionOf(file);
    this.#auth = this.#read();
  }

  /** By the file as it was at most a second ago. */
  get auth(): BasicAuth {
    const now = this.#options.now();
    if (now - this.#lookedMs < LOOK_MS) return this.#auth;
    this.#lookedMs = now;
    const version = versionOf(this.#file);
    if (version === this.#version) return this.#auth;
    this.#version = version;
    try {
      this.#auth = this.#read();
    } catch {
      // `resplice check` says what is wrong with it.
    }
    return this.#auth;
  }

  #read(): BasicAuth {
    const checked = checkHtpasswd(this.#file, this.#options.readText);
    if ('unreadable' in checked) throw new Error(`${this.#file} ${checked.unreadable}`);
    const wrong = checked.problems.find(({ severity }) => severity === 'error');
    if (wrong) throw new Error(formatProblem(wrong));
    return new BasicAuth(checked.users, this.#compare);
  }
}

/** Empty if there is none. */
function versionOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}` : '';
}
