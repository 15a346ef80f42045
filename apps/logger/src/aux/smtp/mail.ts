// One message of a dialogue: what was said of it, and what the answers were.

import type { MailRecord } from '../outcomes.ts';
import { isPositive, type Reply } from './reply.ts';

export interface Step {
  readonly line: string;
  readonly reply: Reply;
}

export class Mail {
  /** MAIL and RCPTs by their keys, in the order in which they were given. */
  readonly steps = new Map<string, Step>();
  /** The answer to the final dot: accepted, or refused for good. */
  final: Reply | undefined;
  /** The final answer is on the disk. */
  isRecorded = false;

  static of({ steps, final }: MailRecord): Mail {
    const mail = new Mail();
    for (const { key, ...step } of steps) mail.steps.set(key, step);
    mail.final = final;
    mail.isRecorded = true;
    return mail;
  }

  /** Nothing was said of it. */
  get isBlank(): boolean {
    return this.steps.size === 0 && this.final === undefined;
  }

  /** What was accepted, by its keys. */
  get accepted(): [string, Step][] {
    return [...this.steps].filter(([, { reply }]) => isPositive(reply));
  }

  /** Whether it cannot be the message that begins like this. */
  contradicts(mailKey: string): boolean {
    return this.accepted.some(([key]) => key.startsWith('MAIL ') && key !== mailKey);
  }

  /** Whether these and no others are its accepted recipients. */
  isFor(recipientKeys: ReadonlySet<string>): boolean {
    const mine = this.accepted.map(([key]) => key).filter(key => key.startsWith('RCPT '));
    return mine.length === recipientKeys.size && mine.every(key => recipientKeys.has(key));
  }
}

/** A name for what a command is about; its parameters (a size) may differ when it is run again. */
export function keyOf(line: string): string {
  const match = /^(MAIL FROM|RCPT TO):\s*<([^>]*)>/i.exec(line);
  if (match === null) return line;
  return `${match[1]!.slice(0, 4).toUpperCase()} ${match[2]}`;
}
