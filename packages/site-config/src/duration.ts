const UNITS = { ms: 1, s: 1000, m: 60_000 } as const;

/** The longest duration that a site may name, 5 minutes. */
export const MAX_DURATION_MS = 300_000;

/** `1.5s` → 1500 milliseconds; `undefined` if it is no duration or below a millisecond's precision. */
export function readDuration(text: string): number | undefined {
  const parts = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text);
  if (!parts) return undefined;
  const ms = Number(parts[1]) * UNITS[parts[2] as keyof typeof UNITS];
  const whole = Math.round(ms);
  return Math.abs(ms - whole) < 1e-6 ? whole : undefined;
}
