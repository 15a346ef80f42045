import type { Command } from './command.ts';

type Loader = () => Promise<{ readonly command: Command }>;

/**
 * In the order of the help. Each verb is loaded only when it is called: `fault` must be quick.
 * A verb's option types are its own business; here all verbs are alike.
 */
const loaders: Readonly<Record<string, () => Promise<{ readonly command: unknown }>>> = {
  up: () => import('./commands/up.ts'),
  status: () => import('./commands/status.ts'),
  exec: () => import('./commands/exec.ts'),
  fault: () => import('./commands/fault.ts'),
  drain: () => import('./commands/drain.ts'),
  logs: () => import('./commands/logs.ts'),
  trace: () => import('./commands/trace.ts'),
  user: () => import('./commands/user.ts'),
  reload: () => import('./commands/reload.ts'),
  check: () => import('./commands/check.ts'),
  drill: () => import('./commands/drill.ts'),
  bench: () => import('./commands/bench.ts'),
  down: () => import('./commands/down.ts'),
  test: () => import('./commands/test.ts'),
  help: () => import('./commands/help.ts'),
};

export const verbNames: readonly string[] = Object.keys(loaders);

export async function loadVerb(name: string): Promise<Command | undefined> {
  if (!Object.hasOwn(loaders, name)) return undefined;
  return (await (loaders[name] as Loader)()).command;
}

export async function loadAllVerbs(): Promise<Command[]> {
  const commands = await Promise.all(verbNames.map(loadVerb));
  return commands.filter(command => command !== undefined);
}
