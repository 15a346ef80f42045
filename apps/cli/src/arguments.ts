import { LabError } from '@resplice/engines';
import { type ClientLink, parseLink } from '@resplice/topology';

/** @throws LabError usage unless there are `least` to `most` positional arguments */
export function requirePositionals(
  positionals: readonly string[],
  least: number,
  most: number,
  usage: string,
): void {
  if (positionals.length < least || positionals.length > most) throw new LabError('usage', `usage: ${usage}`);
}

/** @throws LabError usage unless `text` is a whole number within the bounds */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new LabError('usage', `${option}: "${text}" is not a whole number from ${least} to ${most}`);
  }
  return value;
}

/** For options of which more values may come. @throws LabError usage, saying which exist today */
export function oneOf<T extends string>(option: string, text: string, known: readonly T[]): T {
  const value = known.find(each => each === text);
  if (value === undefined) {
    throw new LabError('usage', `${option}: "${text}" does not exist yet; there is: ${known.join(', ')}`);
  }
  return value;
}

/** @throws LabError usage, saying what is allowed */
export function clientLink(option: string, text: string): ClientLink {
  try {
    return parseLink(text);
  } catch (error) {
    throw new LabError('usage', `${option}: ${(error as Error).message}`, { cause: error });
  }
}

/** Only what was asked for. */
export function given<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parse(text);
}
