import { parseArgs } from 'node:util';
import { LabError } from '@resplice/engines';
import { type Command, type Invocation, parserOptions } from './command.ts';
import { exitCode, exitCodeOf } from './exit-code.ts';
import { commandHelp } from './help-text.ts';
import { say } from './output.ts';
import { loadVerb, verbNames } from './verbs.ts';

/** @throws LabError usage */
export function parseInvocation(command: Command, args: readonly string[]): Invocation {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: parserOptions(command.options),
      allowPositionals: true,
      strict: true,
    });
    return { values: values as Invocation['values'], positionals };
  } catch (error) {
    throw new LabError('usage', (error as Error).message.split('. ')[0]!);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).some(arg => arg === '--help' || arg === '-h');
}

async function dispatch([verb = 'help', ...args]: readonly string[]): Promise<number> {
  const name = verb === '--help' || verb === '-h' ? 'help' : verb;
  const command = await loadVerb(name);
  if (!command) {
    throw new LabError('usage', `there is no verb "${verb}"; there are ${verbNames.join(', ')}`);
  }
  if (asksForHelp(args)) {
    process.stdout.write(commandHelp(command));
    return exitCode.pass;
  }
  return command.run(parseInvocation(command, args));
}

/** @returns the exit code */
export async function runCli(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    if (!(error instanceof LabError)) {
      say(`internal error: ${error instanceof Error ? error.stack : String(error)}`);
      return exitCode.internal;
    }
    for (const line of error.details) say(`  ${line}`);
    say(error.message);
    if (error.code === 'usage') say('see: ./resplice help');
    return exitCodeOf[error.code];
  }
}
