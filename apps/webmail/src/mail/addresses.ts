import { cleanLine, type Person } from '@resplice/mailstore';
import addressparser from 'nodemailer/lib/addressparser';

/** Recipients of one message; RFC 5321 4.5.3.1.8. */
export const MAX_RECIPIENTS = 100;
const MAX_ADDRESS = 254;

/** Atoms and a domain with a dot; quoted local parts, which nobody has, would only help to smuggle. */
const ADDRESS =
  /^[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}!#$%&'*+/=?^_`{|}~-]+)*@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}\p{N}-]{2,}$/u;

export interface Parsed {
  readonly people: readonly Person[];
  /** What is no address. */
  readonly wrong: readonly string[];
}

/** A field of recipients as a person types it: `Ben <ben@x.example>, chloe@y.example; …`. */
export function parseRecipients(field: string): Parsed {
  const entries = addressparser(cleanLine(field), { flatten: true });
  const people: Person[] = [];
  const wrong: string[] = [];
  for (const { name, address } of entries) {
    const given = cleanLine(address ?? '');
    if (given.length <= MAX_ADDRESS && ADDRESS.test(given)) {
      people.push({ name: cleanLine(name ?? ''), address: given });
    } else {
      wrong.push(given || cleanLine(name ?? '') || '(empty)');
    }
  }
  return { people, wrong };
}

/** Back into the form that one types. */
export function formatPerson({ name, address }: Person): string {
  if (name === '') return address;
  const quoted = /^[\p{L}\p{N} _-]+$/u.test(name) ? name : `"${name.replace(/[\\"]/g, '\\$&')}"`;
  return `${quoted} <${address}>`;
}

export function formatPeople(people: readonly Person[]): string {
  return people.map(formatPerson).join(', ');
}

/** Each address once, in their order. */
export function distinct(people: readonly Person[]): readonly Person[] {
  const seen = new Set<string>();
  return people.filter(({ address }) => {
    const key = address.toLowerCase();
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
