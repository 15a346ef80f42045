import type { Person } from '@resplice/mailstore';
import { type Html, html } from '../web/html.ts';

const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
const dayAndYear = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  timeZone: 'UTC',
});
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: 'UTC' });

function shortTime(at: Date, now: Date): string {
  if (now.getTime() - at.getTime() < 20 * 3_600_000) return `${clock.format(at)} UTC`;
  return at.getUTCFullYear() === now.getUTCFullYear() ? day.format(at) : dayAndYear.format(at);
}

export function longTime(at: Date): string {
  return `${dayAndYear.format(at)}, ${clock.format(at)} UTC`;
}

/** A time in UTC, which the script turns into the reader's own. */
export function time(at: Date, now: Date, style: 'short' | 'long'): Html {
  const text = style === 'long' ? longTime(at) : shortTime(at, now);
  return html`<time datetime="${at.toISOString()}" data-style="${style}" title="${longTime(at)}">${text}</time>`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function nameOf({ name, address }: Person): string {
  return name || address || '(nobody)';
}

export function namesOf(people: readonly Person[]): string {
  if (people.length === 0) return '(nobody)';
  const shown = people.slice(0, 4).map(nameOf).join(', ');
  return people.length > 4 ? `${shown} and ${people.length - 4} more` : shown;
}
