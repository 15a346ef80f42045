import type { BackendCommand } from '@resplice/engines';

/** What a user gave as `--backend-cmd`, to be run as and where the caller is. */
export function callersCommand(command: string): BackendCommand {
  const environment = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return { command, directory: process.cwd(), environment: Object.fromEntries(environment) };
}
