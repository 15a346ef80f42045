import { randomInt } from 'node:crypto';
import { LabError } from '@resplice/engines';
import { arms, most } from '@resplice/topology';
import { clientLink, given, oneOf, requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { matrixDrill } from '../matrix-drill.ts';
import { stormDrill } from '../storm-drill.ts';

const drills = ['paper', 'matrix', 'storm'] as const;
type Drill = (typeof drills)[number];

/** Options that do not belong to every drill, and whose they are. */
const belongs: Readonly<Record<string, readonly Drill[]>> = {
  engine: ['matrix'],
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
  write: ['matrix', 'storm', 'paper'],
};

export const command = defineCommand({
  name: 'drill',
  synopsis: '[paper|matrix|storm] [OPTIONS]',
  summary: 'The paper’s tables, measured; or every fault at every moment, or many while letters are sent.',
  options: {
    engine: {
      type: 'string',
      value: 'ENGINE',
      help: 'of matrix: what the lab is made of, as `up` takes it; else that of the one that is up',
    },
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
      help: 'render this run’s page: MATRIX.md or STORM.md in docs/, of paper --full RESULTS.md',
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
    return drill === 'matrix' ? matrixDrill(values, lab, seed) : stormDrill(values, lab, seed);
  },
});
