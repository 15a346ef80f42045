import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { LabError } from '@resplice/engines';

/** Asks on the terminal, where nobody can read what is typed. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  // The line editor would show what it edits.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const gone = new Promise<never>((_, reject) => {
    const leave = () => reject(new LabError('interrupted', 'no password was given; nothing was changed'));
    lines.once('SIGINT', leave);
    lines.once('close', leave);
  });
  try {
    return await Promise.race([lines.question(''), gone]);
  } finally {
    process.stderr.write('\n');
    lines.close();
  }
}

/** The first line of standard input. */
async function readLine(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString().split(/\r?\n/, 1)[0]!;
}

/**
 * A new password: asked for twice on a terminal, else the first line of standard input. Never an argument: those are for all to see.
 * @throws LabError usage when the two differ; interrupted
 */
export async function newPassword(): Promise<string> {
  if (!process.stdin.isTTY) return readLine();
  const first = await ask('password: ');
  const second = await ask('again: ');
  if (first !== second) throw new LabError('usage', 'the two differ; nothing was changed');
  return first;
}
