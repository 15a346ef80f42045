import { readFileSync } from 'node:fs';

/** The first JSON block of a README, so that a test can hold it against the schema. */
export function exampleConfig(readme: string): unknown {
  const block = /```json\n([\s\S]*?)```/.exec(readFileSync(readme, 'utf8'))?.[1];
  if (block === undefined) throw new Error(`${readme} has no JSON block`);
  return JSON.parse(block);
}
