/** Values that a page carries at its end, so that a test can render it anew from them. */

/** For JSON.stringify: four significant digits are more than any spread allows. */
export function compact(key: string, value: unknown): unknown {
  return typeof value === 'number' && key !== 'seed' && !Number.isInteger(value)
    ? Number(value.toPrecision(4))
    : value;
}

/** What a page was rendered from, its one block of JSON; undefined: it holds none. */
export function jsonIn(page: string): unknown {
  const json = /```json\n(.*)\n```/.exec(page)?.[1];
  return json === undefined ? undefined : JSON.parse(json);
}
