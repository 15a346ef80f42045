import { setTimeout as delay } from 'node:timers/promises';
import { type LogCommand, type LogFile, type LogSource, requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { LogFollower } from '../log-follower.ts';
import { showLog } from '../log-reader.ts';
import { presentEngine } from '../present-engine.ts';
import { withStopSignal } from '../stop-signal.ts';

const pollMs = 200;

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

const isFile = (source: LogSource): source is LogFile => 'path' in source;
const isCommand = (source: LogSource): source is LogCommand => 'command' in source;

export const command = defineCommand({
  name: 'logs',
  synopsis: '[COMPONENT[/PROCESS]] [-f]',
  summary: "Show the logs of a component's processes, or of all.",
  options: { follow: { type: 'boolean', short: 'f', help: 'go on with what they write' } },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 1, './resplice logs [COMPONENT[/PROCESS]] [-f]');
    requireRoot();
    const engine = await presentEngine();
    const sources = engine.logs(positionals[0]);
    const named = sources.length > 1;
    const followers = sources.filter(isFile).map(file => new LogFollower(file, { named }));
    await withStopSignal(async signal => {
      const shown = sources
        .filter(isCommand)
        .map(source => showLog(source, { named, follow: values.follow ?? false, signal, print }));
      const isOver = () => !values.follow || signal.aborted || !engine.isThere();
      for (;;) {
        for (const follower of followers) print(follower.read());
        if (isOver()) break;
        await delay(pollMs, undefined, { signal }).catch(() => {});
      }
      await Promise.all(shown);
    });
    for (const follower of followers) print(follower.rest());
    return exitCode.pass;
  },
});
