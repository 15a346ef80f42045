import { randomInt } from 'node:crypto';
import { LabError, requireMachine } from '@resplice/engines';
import { arms, most } from '@resplice/topology';
import { clientLink, oneOf, requirePositionals, wholeNumber } from '../arguments.ts';
import { callersCommand } from '../callers-command.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, say, showProgress } from '../output.ts';
import { withStopSignal } from '../stop-signal.ts';

const codes = { pass: exitCode.pass, fail: exitCode.fail, inconclusive: exitCode.inconclusive } as const;

/** Only what was asked for. */
function given<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parse(text);
}

export const command = defineCommand({
  name: 'drill',
  synopsis: '[matrix] [OPTIONS]',
  summary: 'Make every fault at every moment, and see which promise of docs/FAULTS.md is kept.',
  options: {
    cells: {
      type: 'string',
      value: 'PATTERNS',
      default: '*',
      help: 'COMPONENT/FAULT/MOMENT/WORKLOAD, * for any, several by comma',
    },
    arm: { type: 'string', value: 'ARM', help: `${arms.join(', ')}; else the one that is up, or resplice` },
    link: { type: 'string', value: 'LINK', help: "the client's, as `up` takes it" },
    proxies: { type: 'string', value: 'N', help: `1 to ${most.proxies}` },
    backends: { type: 'string', value: 'N', help: `1 to ${most.backends}` },
    'backend-cmd': {
      type: 'string',
      value: 'CMD',
      help: 'your server, as `up` takes it; only GETs are drilled then',
    },
    'url-path': {
      type: 'string',
      value: 'PATH',
      default: '/',
      help: 'what is fetched from a server of yours',
    },
    repeat: { type: 'string', value: 'N', default: '1', help: 'runs of each cell; medians are judged' },
    seed: { type: 'string', value: 'N', help: 'of where in a transfer faults fall; a random one otherwise' },
    json: { type: 'boolean', help: 'one JSON object on standard output' },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 1, './resplice drill [matrix] [OPTIONS]');
    oneOf('drill', positionals[0] ?? 'matrix', ['matrix']);
    const { cellLine, cellsMatching, runMatrix, summaryLine, textTable } = await import('@resplice/drill');
    const seed =
      given(values.seed, text => wholeNumber('--seed', text, 0, 2 ** 32 - 1)) ?? randomInt(2 ** 32);
    const options = {
      cells: patterns(values.cells, cellsMatching),
      seed,
      repeat: wholeNumber('--repeat', values.repeat, 1, 1000),
      urlPath: values['url-path'],
      lab: {
        arm: given(values.arm, text => oneOf('--arm', text, arms)),
        link: given(values.link, text => clientLink('--link', text)),
        proxies: given(values.proxies, text => wholeNumber('--proxies', text, 1, most.proxies)),
        backends: given(values.backends, text => wholeNumber('--backends', text, 1, most.backends)),
        backendCommand: given(values['backend-cmd'], callersCommand),
      },
    };
    requireMachine();
    say(`${options.cells.length} cells, seed ${seed}`);
    const result = await withStopSignal(signal =>
      runMatrix(options, {
        signal,
        progress: showProgress,
        // A terminal shows what goes on and keeps what went wrong; where lines stay, each result is one.
        begun: (cell, number, of) => process.stderr.isTTY && showProgress(`${number}/${of} ${cell}`),
        done(cell, number, of) {
          const wrong = cell.verdict === 'fail' || cell.verdict === 'inconclusive';
          if (!process.stderr.isTTY || wrong) say(`${number}/${of} ${cellLine(cell)}`);
        },
      }),
    );
    for (const line of textTable(result, { colour: process.stderr.hasColors?.() ?? false })) {
      process.stderr.write(`${line}\n`);
    }
    if (values.json) printJson(result);
    say(summaryLine(result));
    return codes[result.verdict];
  },
});

function patterns<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LabError('usage', `--cells: ${error.message}`, { cause: error });
  }
}
