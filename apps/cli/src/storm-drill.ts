/** `./resplice drill storm`: from flags to a storm, and from the storm to what is shown and kept of it. */
import { LabError, requireMachine } from '@resplice/engines';
import { lan } from '@resplice/topology';
import { wholeNumber } from './arguments.ts';
import { exitCode } from './exit-code.ts';
import type { DrillLab } from './matrix-drill.ts';
import { printJson, say, showProgress } from './output.ts';
import { withStopSignal } from './stop-signal.ts';

const codes = { pass: exitCode.pass, fail: exitCode.fail, inconclusive: exitCode.inconclusive } as const;

export interface StormValues {
  readonly sends?: string | undefined;
  readonly users?: string | undefined;
  readonly link?: string | undefined;
  readonly proxies?: string | undefined;
  readonly backends?: string | undefined;
  readonly write?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** What would make a storm another than those that it is shown beside. */
const narrowing = ['link', 'proxies', 'backends'] as const;
/** In what all storms on the page were made. */
const shown = { link: lan, proxies: 2, backends: 2 } as const;

function labOf(values: StormValues, lab: DrillLab): DrillLab {
  if (!values.write) return lab;
  const foreign = narrowing.find(name => values[name] !== undefined);
  if (foreign) throw new LabError('usage', `--write is for storms in the usual lab, without --${foreign}`);
  return { ...lab, ...shown };
}

/** @returns the exit code */
export async function stormDrill(values: StormValues, wish: DrillLab, seed: number): Promise<number> {
  const { LEAST_SENDS, runStorm, stormPage, stormSummary, stormTable } = await import('@resplice/drill');
  const sends = wholeNumber('--sends', values.sends ?? '500', 1, 100_000);
  const people = wholeNumber('--users', values.users ?? '12', 2, 1000);
  const lab = labOf(values, wish);
  if (values.write && sends < LEAST_SENDS)
    throw new LabError('usage', `--write is for storms of ${LEAST_SENDS} letters and more`);
  requireMachine();
  // What cannot be read is better known before the storm than after it.
  if (values.write) stormPage.kept();
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
  if (values.write) {
    const command = `./resplice drill storm --arm ${result.arm} --sends ${sends} --users ${people} --seed ${seed} --write`;
    const { page, data, dropped } = stormPage.write(result, command);
    say(`wrote ${page} and ${data}`);
    for (const arm of dropped) say(`${arm} is not on it any more: its storm was another, or elsewhere`);
  }
  say(stormSummary(result));
  return codes[result.verdict];
}
