/** `./resplice drill matrix`: from flags to a run, and from the run to what is shown and kept of it. */
import type { LabWish } from '@resplice/drill';
import { type Engine, LabError, requireMachine } from '@resplice/engines';
import { lan } from '@resplice/topology';
import { given, oneOf, wholeNumber } from './arguments.ts';
import { callersCommand } from './callers-command.ts';
import { exitCode } from './exit-code.ts';
import { printJson, say, showProgress } from './output.ts';
import { engineNamed, engineNames, presentEngine } from './present-engine.ts';
import { withStopSignal } from './stop-signal.ts';

const codes = { pass: exitCode.pass, fail: exitCode.fail, inconclusive: exitCode.inconclusive } as const;

/** What the flags of every drill ask for. */
export type DrillLab = Omit<LabWish, 'site' | 'backendCommand'>;

export interface MatrixValues {
  readonly cells?: string | undefined;
  readonly engine?: string | undefined;
  readonly link?: string | undefined;
  readonly proxies?: string | undefined;
  readonly backends?: string | undefined;
  readonly repeat?: string | undefined;
  readonly 'url-path'?: string | undefined;
  readonly 'backend-cmd'?: string | undefined;
  readonly write?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** What would make a run another than those that it is shown beside. */
const narrowing = ['engine', 'cells', 'link', 'proxies', 'backends', 'backend-cmd', 'url-path'] as const;
/** In what all runs on the page were made. */
const shown = { link: lan, proxies: 2, backends: 2, site: 'demo' } as const;

function labOf(values: MatrixValues, lab: DrillLab): LabWish {
  if (!values.write) return { ...lab, backendCommand: given(values['backend-cmd'], callersCommand) };
  const foreign = narrowing.find(name => values[name] !== undefined);
  if (foreign)
    throw new LabError('usage', `--write is for whole runs in the usual lab, without --${foreign}`);
  return { ...lab, ...shown, backendCommand: undefined };
}

/** @throws LabError usage when a lab of another one is up */
async function engineOf(wanted: string | undefined): Promise<Engine> {
  const present = await presentEngine();
  if (wanted === undefined || wanted === present.name) return present;
  if (present.isThere()) {
    throw new LabError('usage', `the lab that is up has --engine ${present.name}; first: ./resplice down`);
  }
  return engineNamed(oneOf('--engine', wanted, engineNames));
}

function patterns<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new LabError('usage', `--cells: ${error.message}`, { cause: error });
  }
}

/** @returns the exit code */
export async function matrixDrill(values: MatrixValues, lab: DrillLab, seed: number): Promise<number> {
  const { cellLine, cellsMatching, matrixPage, runMatrix, summaryLine, textTable } = await import(
    '@resplice/drill'
  );
  const options = {
    cells: patterns(values.cells ?? '*', cellsMatching),
    seed,
    repeat: wholeNumber('--repeat', values.repeat ?? '1', 1, 1000),
    urlPath: values['url-path'] ?? '/',
    lab: { ...labOf(values, lab), engine: await engineOf(values.engine) },
  };
  requireMachine();
  // What cannot be read is better known before the run than after it.
  if (values.write) matrixPage.kept();
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
  if (values.write) {
    const command = `./resplice drill matrix --arm ${result.arm} --repeat ${result.repeat} --seed ${seed} --write`;
    const { page, data, dropped } = matrixPage.write(result, command);
    say(`wrote ${page} and ${data}`);
    for (const arm of dropped) {
      say(`${arm} is not on it any more: it was drilled on another machine, kernel or topology`);
    }
  }
  say(summaryLine(result));
  return codes[result.verdict];
}
