import { randomInt } from 'node:crypto';
import { LabError, requireMachine } from '@resplice/engines';
import { arms, most } from '@resplice/topology';
import { clientLink, given, oneOf, requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { type DrillLab, matrixDrill } from '../matrix-drill.ts';
import { printJson, say, showProgress } from '../output.ts';
import { withStopSignal } from '../stop-signal.ts';

const codes = { pass: exitCode.pass, fail: exitCode.fail, inconclusive: exitCode.inconclusive } as const;

const drills = ['paper', 'matrix', 'storm'] as const;
type Drill = (typeof drills)[number];

/** Options that do not belong to every drill, and whose they are. */
const belongs: Readonly<Record<string, readonly Drill[]>> = {
  cells: ['matrix'],
  'backend-cmd': ['matrix'],
  'url-path': ['matrix'],
  repeat: ['matrix', 'paper'],
  sends: ['storm'],
  users: ['storm'],
  arm: ['matrix', 'storm'],
  link: ['matrix', 'storm'],
  proxies: ['matrix', 'storm'],
  backends: ['matrix', 'storm'],
  client: ['paper'],
  links: ['paper'],
  full: ['paper'],
  scale: ['paper'],
  resume: ['paper'],
  write: ['matrix', 'paper'],
};

export const command = defineCommand({
  name: 'drill',
  synopsis: '[paper|matrix|storm] [OPTIONS]',
  summary: 'The paper’s tables, measured; or every fault at every moment, or many while letters are sent.',
  options: {
    cells: {
      type: 'string',
      value: 'PATTERNS',
      help: 'of matrix: COMPONENT/FAULT/MOMENT/WORKLOAD, * for any, several by comma; else all',
    },
    arm: { type: 'string', value: 'ARM', help: `${arms.join(', ')}; else the one that is up, or resplice` },
    link: { type: 'string', value: 'LINK', help: "the client's, as `up` takes it" },
    proxies: { type: 'string', value: 'N', help: `1 to ${most.proxies}` },
    backends: { type: 'string', value: 'N', help: `1 to ${most.backends}` },
    'backend-cmd': {
      type: 'string',
      value: 'CMD',
      help: 'of matrix: your server, as `up` takes it; only GETs are drilled then',
    },
    'url-path': {
      type: 'string',
      value: 'PATH',
      help: 'of matrix: what is fetched from a server of yours; else /',
    },
    repeat: {
      type: 'string',
      value: 'N',
      help: 'of matrix, paper: runs of each cell, else 1; medians are judged',
    },
    sends: { type: 'string', value: 'N', help: 'of storm: letters, else 500' },
    users: { type: 'string', value: 'N', help: 'of storm: people who send them, else 12' },
    client: { type: 'string', value: 'CLIENT', help: 'of paper: paper, chromium, or both' },
    links: {
      type: 'string',
      value: 'LINKS',
      help: 'of paper: of lan, wan-mit, wan-sg, wan-in, several by comma; with --resume only those now',
    },
    full: {
      type: 'boolean',
      help: 'of paper: every cell of both tables, five times: four hours, in parts by --links',
    },
    scale: {
      type: 'string',
      value: 'X',
      help: 'of paper: share of the objects, up to 1; else 0.5, with --full 1',
    },
    resume: {
      type: 'string',
      value: 'DIR',
      help: 'of paper: go on with the results there, on links of theirs or others',
    },
    write: {
      type: 'boolean',
      help: 'render the page of this run: of matrix docs/MATRIX.md, of paper --full docs/RESULTS.md',
    },
    seed: {
      type: 'string',
      value: 'N',
      help: 'of which faults fall when, and of orders; a random one otherwise',
    },
    json: { type: 'boolean', help: 'one JSON object on standard output' },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 1, './resplice drill [paper|matrix|storm] [OPTIONS]');
    const drill = oneOf('drill', positionals[0] ?? 'paper', drills);
    const foreign = Object.entries(values).find(
      ([name, value]) => value !== undefined && belongs[name] && !belongs[name].includes(drill),
    );
    if (foreign) throw new LabError('usage', `--${foreign[0]} does not belong to drill ${drill}`);
    if (drill === 'paper') return (await import('../paper-drill.ts')).paperDrill(values);
    const seed =
      given(values.seed, text => wholeNumber('--seed', text, 0, 2 ** 32 - 1)) ?? randomInt(2 ** 32);
    const lab = {
      arm: given(values.arm, text => oneOf('--arm', text, arms)),
      link: given(values.link, text => clientLink('--link', text)),
      proxies: given(values.proxies, text => wholeNumber('--proxies', text, 1, most.proxies)),
      backends: given(values.backends, text => wholeNumber('--backends', text, 1, most.backends)),
    };
    return drill === 'matrix' ? matrixDrill(values, lab, seed) : storm(values, lab, seed);
  },
});

interface StormValues {
  readonly sends?: string | undefined;
  readonly users?: string | undefined;
  readonly json?: boolean | undefined;
}

async function storm(values: StormValues, lab: DrillLab, seed: number): Promise<number> {
  const { runStorm, stormSummary, stormTable } = await import('@resplice/drill');
  const sends = wholeNumber('--sends', values.sends ?? '500', 1, 100_000);
  const people = wholeNumber('--users', values.users ?? '12', 2, 1000);
  requireMachine();
  say(`${sends} letters of ${people} people, seed ${seed}`);
  const result = await withStopSignal(signal =>
    runStorm(
      { lab, sends, people, seed },
      {
        signal,
        progress: showProgress,
        onGust: ({ kind, target, point, underWay }, begun) =>
          showProgress(
            `${begun}/${sends} ${kind} ${target}${point === null ? '' : ` ${point}`}, ${underWay} letters were under way`,
          ),
      },
    ),
  );
  for (const line of stormTable(result)) process.stderr.write(`${line}\n`);
  if (values.json) printJson(result);
  say(stormSummary(result));
  return codes[result.verdict];
}
