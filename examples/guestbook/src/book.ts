import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Entry {
  readonly name: string;
  readonly words: string;
  /** ISO 8601 */
  readonly at: string;
}

/** A directory that all back ends share, an entry a file. Its name is the transaction that made it: made again, it is there already. */
export class Book {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async sign(transaction: string, entry: Entry): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const draft = join(this.#directory, `.${randomUUID()}`);
    await writeFile(draft, JSON.stringify(entry));
    try {
      await link(draft, join(this.#directory, transaction));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await unlink(draft);
    }
  }

  /** Oldest first. */
  async entries(): Promise<Entry[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const texts = names
      .filter(name => !name.startsWith('.'))
      .map(name => readFile(join(this.#directory, name), 'utf8'));
    const entries = (await Promise.all(texts)).map(text => JSON.parse(text) as Entry);
    return entries.sort((a, b) => a.at.localeCompare(b.at));
  }
}
