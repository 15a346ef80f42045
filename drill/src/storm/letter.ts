/** The letters of a storm: number, author and seed say everything that is in one, so that what has arrived can be held against it. */
import { createHash } from 'node:crypto';
import { randomFrom } from '@resplice/figures';

export interface Letter {
  readonly number: number;
  /** Addresses, here and below. */
  readonly author: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly subject: string;
  readonly body: string;
  readonly files: readonly LetterFile[];
}

export interface LetterFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** What all letters of a storm have in common. */
export interface Post {
  readonly people: readonly { readonly address: string }[];
  /** Begins every subject: `MARK NUMBER`. */
  readonly mark: string;
  readonly seed: number;
}

/** What makes a difference on the way: the end of a message's content, what is not ASCII, what looks like a header. */
const lines = [
  'A line like any other.',
  '.',
  '..',
  '. A line that begins with a dot.',
  'Grüße, čau, γειά, 你好.',
  'From here on nothing is quoted.',
  'To: nobody@elsewhere.example',
  '',
  'RCPT TO:<nobody@elsewhere.example>',
] as const;

/** Least and most: recipients, lines, and bytes of a file. */
const counts = { recipients: [1, 3], lines: [1, 30], file: [1, 60_000] } as const;

export function letterOf(number: number, author: string, { people, mark, seed }: Post): Letter {
  // One stream for each letter: which ones are begun depends on the machine.
  const draw = randomFrom(seed + Math.imul(number, 0x9e3779b1));
  const below = (end: number): number => Math.floor(draw() * end);
  const between = ([least, most]: readonly [number, number]): number => least + below(most - least + 1);
  const others = people.map(({ address }) => address).filter(address => address !== author);
  const wanted = Math.min(others.length, between(counts.recipients));
  const recipients = Array.from({ length: wanted }, () => others.splice(below(others.length), 1)[0]!);
  const text = Array.from({ length: between(counts.lines) }, () => lines[below(lines.length)]!);
  const size = between(counts.file);
  const files = draw() < 0.5 ? [{ name: `file-${number}.bin`, bytes: noise(`${mark} ${number}`, size) }] : [];
  return {
    ...{ number, author, files },
    to: recipients.slice(0, 1),
    cc: recipients.slice(1),
    subject: `${mark} ${number}`,
    body: [`Letter ${number}.`, ...text, 'Its end.'].join('\n'),
  };
}

function noise(of: string, bytes: number): Buffer {
  return createHash('shake256', { outputLength: bytes }).update(of).digest();
}

/** Everything in a letter that its author and its readers care for, in one word: the same wherever it is the same letter. */
export function digestOf({ author, to, cc, subject, body, files }: Omit<Letter, 'number'>): string {
  const told = files.map(({ name, bytes }) => [name, createHash('sha256').update(bytes).digest('hex')]);
  const content = JSON.stringify([author, to, cc, subject, body.trimEnd(), told]);
  return createHash('sha256').update(content).digest('hex');
}
