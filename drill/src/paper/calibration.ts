/** How near the calibrated client comes to the paper's times without failure, cell by cell. */
import { parseLink } from '@resplice/topology';
import type { Results } from './folder.ts';
import { modelSeconds, printed, scaled, weights } from './reference.ts';
import { type SummaryCell, summarize } from './summary.ts';
import { actionTitles, figure, withSpread } from './tables.ts';

function percent(is: number, beside: number): string {
  const value = (100 * (is - beside)) / beside;
  return `${value > 0 ? '+' : ''}${figure(value)} %`;
}

function rowOf({ action, link, column, scale, traditional: { noFailure } }: SummaryCell): string[] {
  const { rttMs, rateMbit } = parseLink(link);
  const model = modelSeconds(scaled(weights[action], scale), { rttMs, rateMbit });
  const paper = column === undefined ? undefined : printed[action].cells[column].traditional.noFailure;
  return [
    actionTitles[action],
    column ?? link,
    String(scale),
    paper === undefined ? '–' : figure(paper),
    figure(model),
    withSpread(noFailure),
    noFailure ? percent(noFailure.median, model) : '–',
    noFailure && paper !== undefined && scale === 1 ? percent(noFailure.median, paper) : '–',
  ];
}

const heading = ['', 'link', 'scale', 'paper', 'fit', 'measured', 'beside the fit', 'beside the paper'];

/** Empty without runs of the calibrated client. */
export function calibrationRows(results: Results): string[][] {
  const cells = summarize(results).filter(({ client }) => client === 'paper');
  return cells.length === 0 ? [] : [heading, ...cells.map(rowOf)];
}
