import { randomInt } from 'node:crypto';
import { LabError, NetnsEngine, requireMachine } from '@resplice/engines';
import { requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, say, showProgress } from '../output.ts';
import { withStopSignal } from '../stop-signal.ts';

const codes = { pass: exitCode.pass, fail: exitCode.fail, void: exitCode.inconclusive } as const;

export const command = defineCommand({
  name: 'bench',
  synopsis: '[OPTIONS]',
  summary: 'Measure all arms side by side: exit 1 when a gate is missed, 2 when the machine was not quiet.',
  options: {
    json: { type: 'boolean', help: 'all values and the verdict as one JSON object on standard output' },
    rounds: {
      type: 'string',
      value: 'N',
      default: '10',
      help: 'how often everything is measured; 0: only the parts below, beside the run on the page',
    },
    seconds: { type: 'string', value: 'S', default: '1', help: 'how long a measurement by time takes' },
    'bulk-mib': { type: 'string', value: 'N', default: '1024', help: 'size of a bulk download' },
    seed: { type: 'string', value: 'N', help: 'of the order of the arms; a random one otherwise' },
    memory: { type: 'boolean', help: "measure the logger's memory, too: about three minutes" },
    links: {
      type: 'string',
      value: 'N',
      default: '0',
      help: 'take the time over two slow links N times, too: a minute and a half each',
    },
    failovers: {
      type: 'string',
      value: 'N',
      default: '0',
      help: 'fail a back end N times at each moment in each way, too: 50 take half an hour',
    },
    kit: {
      type: 'string',
      value: 'N',
      default: '0',
      help: "measure the kit's overhead in N rounds, too: twenty take some minutes",
    },
    write: { type: 'boolean', help: 'render docs/BENCHMARKS.md from this run' },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 0, './resplice bench [OPTIONS]');
    const options = {
      rounds: wholeNumber('--rounds', values.rounds, 0, 1000),
      seconds: wholeNumber('--seconds', values.seconds, 1, 60),
      bulkBytes: wholeNumber('--bulk-mib', values['bulk-mib'], 1, 65_536) * 2 ** 20,
      seed:
        values.seed === undefined ? randomInt(2 ** 32) : wholeNumber('--seed', values.seed, 0, 2 ** 32 - 1),
      memory: values.memory ?? false,
      links: wholeNumber('--links', values.links, 0, 1000),
      failovers: wholeNumber('--failovers', values.failovers, 0, 1000),
      kit: wholeNumber('--kit', values.kit, 0, 1000),
    };
    if (options.rounds === 0 && !options.memory && options.links + options.failovers + options.kit === 0) {
      throw new LabError(
        'usage',
        '--rounds 0 measures only parts: --memory, --links N, --failovers N, --kit N',
      );
    }
    requireMachine();
    if (new NetnsEngine().isThere()) {
      throw new LabError('usage', 'the benchmark needs the machine for itself; first: ./resplice down');
    }
    const counted = (name: 'links' | 'failovers' | 'kit') =>
      options[name] > 0 ? ` --${name} ${options[name]}` : '';
    const more = `${options.memory ? ' --memory' : ''}${counted('links')}${counted('failovers')}${counted('kit')}`;
    const flags = `--rounds ${options.rounds} --seconds ${options.seconds} --bulk-mib ${values['bulk-mib']} --seed ${options.seed}${more}`;
    const { runBench, textReport, verdictOf, writePage } = await import('@resplice/bench');
    say(`seed ${options.seed}`);
    const result = await withStopSignal(signal =>
      runBench({ ...options, command: `./resplice bench ${flags}` }, { signal, progress: showProgress }),
    );
    for (const line of textReport(result)) say(line);
    const verdict = verdictOf(result);
    if (values.write) say(`wrote ${writePage(result)}`);
    if (values.json) printJson({ ...result, verdict });
    return codes[verdict.outcome];
  },
});
