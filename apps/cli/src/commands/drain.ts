import { requireRoot } from '@resplice/engines';
import { requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, say, showProgress } from '../output.ts';
import { presentEngine } from '../present-engine.ts';
import { withStopSignal } from '../stop-signal.ts';

const mostSeconds = 86_400;

export const command = defineCommand({
  name: 'drain',
  synopsis: 'PROXY|BACKEND [--deadline S]',
  summary:
    'Empty it so that no client notices; it stays out until `fault heal`. Returns when nothing is left.',
  options: {
    deadline: {
      type: 'string',
      value: 'S',
      help: 'give up waiting after so many seconds, and exit 1; it goes on emptying',
    },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 1, 1, './resplice drain TARGET [--deadline S]');
    const { deadline } = values;
    const deadlineMs =
      deadline === undefined
        ? Number.POSITIVE_INFINITY
        : 1000 * wholeNumber('--deadline', deadline, 0, mostSeconds);
    requireRoot();
    const target = positionals[0]!;
    const engine = await presentEngine();
    const report = await withStopSignal(signal =>
      engine.drain(target, deadlineMs, { signal, progress: showProgress }),
    );
    printJson(report);
    if (report.emptyAt !== null) return exitCode.pass;
    const { connections, unprotected } = report;
    say(
      `${target} still has ${connections} connections after ${deadline} s, ${unprotected} of which cannot be moved; ` +
        `it stays out until: ./resplice fault heal ${target}`,
    );
    return exitCode.fail;
  },
});
