import { setTimeout as delay } from 'node:timers/promises';
import { requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { LogFollower } from '../log-follower.ts';
import { presentEngine } from '../present-engine.ts';
import { withStopSignal } from '../stop-signal.ts';

const pollMs = 200;

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

export const command = defineCommand({
  name: 'logs',
  synopsis: '[COMPONENT[/PROCESS]] [-f]',
  summary: "Show the logs of a component's processes, or of all.",
  options: { follow: { type: 'boolean', short: 'f', help: 'go on with what they write' } },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 1, './resplice logs [COMPONENT[/PROCESS]] [-f]');
    requireRoot();
    const engine = await presentEngine();
    const files = engine.logs(positionals[0]);
    const followers = files.map(file => new LogFollower(file, { named: files.length > 1 }));
    await withStopSignal(async signal => {
      for (;;) {
        for (const follower of followers) print(follower.read());
        if (!values.follow || signal.aborted || !engine.isThere()) return;
        await delay(pollMs, undefined, { signal }).catch(() => {});
      }
    });
    for (const follower of followers) print(follower.rest());
    return exitCode.pass;
  },
});
