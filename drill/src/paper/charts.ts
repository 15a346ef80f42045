/** Pictures of results as SVG, without script. Colours are the page's, light or dark; each picture says in words what it shows. */
import { printed } from './reference.ts';
import type { PaperRun, Request } from './run.ts';
import type { SummaryCell } from './summary.ts';
import { figure } from './tables.ts';

export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly described: string;
  readonly body: string;
}

/** Titles differ within a page, and so do what they are known by. */
function svg({ width, height, title, described, body }: Picture): string {
  const id = `picture-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${escaped(title)}</title><desc id="${id}-d">${escaped(described)}</desc>
${body}
</svg>`;
}

function text(x: number, y: number, content: string, kind = '', anchor = 'start'): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${kind ? ` class="${kind}"` : ''}>${escaped(content)}</text>`;
}

function bar(x: number, y: number, width: number, height: number, kind: string): string {
  return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(0, width).toFixed(1)}" height="${height}" class="${kind}"/>`;
}

interface BarRow {
  readonly label: string;
  /** Seconds. */
  readonly base: number;
  readonly failover: number;
  readonly kind: string;
}

const LABELS = 132;
const FIGURES = 150;
const ROW = 30;

/** The four of a cell, the paper's above ours. */
function barRows({ action, column, scale, traditional, ours }: SummaryCell): BarRow[] {
  const papers = column && scale === 1 ? printed[action].cells[column] : undefined;
  const rows: BarRow[] = [];
  const paper = (
    label: string,
    { noFailure, withFailure }: { noFailure: number; withFailure: number },
  ): void => {
    rows.push({ label, base: noFailure, failover: withFailure - noFailure, kind: 'paper' });
  };
  const own = (label: string, kind: string, each: SummaryCell['ours']): void => {
    const failover = each.failover['backend-crash'];
    if (each.noFailure && failover) {
      rows.push({ label, base: each.noFailure.median, failover: failover.median, kind });
    }
  };
  if (papers) paper('paper: traditional', papers.traditional);
  own('here: traditional', 'traditional', traditional);
  if (papers) paper('paper: new', papers.ours);
  own('here: Resplice', 'ours', ours);
  return rows;
}

/** How long an action takes with a back end's crash in its middle: what it takes anyway, and what comes on top. */
export function bars(cell: SummaryCell, title: string, width = 560): string {
  const rows = barRows(cell);
  const most = Math.max(...rows.map(({ base, failover }) => base + Math.max(0, failover)), 0.001);
  const scale = (width - LABELS - FIGURES) / most;
  const drawn = rows.map(({ label, base, failover, kind }, index) => {
    const y = 34 + index * ROW;
    const least = Math.min(base, base + failover);
    const end = LABELS + (base + Math.max(0, failover)) * scale;
    const sign = failover < -0.004 ? '−' : '+';
    return [
      text(LABELS - 10, y + 15, label, kind === 'ours' ? 'strong' : '', 'end'),
      bar(LABELS, y, least * scale, 20, `bar ${kind}`),
      // A hair's breadth is seen, too.
      failover > 0
        ? bar(LABELS + base * scale + 1, y, Math.max(1.5, failover * scale), 20, 'bar failover')
        : '',
      text(
        end + 10,
        y + 15,
        `${figure(base)} ${sign} ${figure(Math.abs(failover))} s`,
        kind === 'ours' ? 'strong' : '',
      ),
    ].join('');
  });
  return svg({
    width,
    height: 26 + rows.length * ROW,
    title,
    described: rows
      .map(
        ({ label, base, failover }) =>
          `${label}: ${figure(base)} s, and ${figure(failover)} s with a failure`,
      )
      .join('; '),
    body: `${text(0, 16, title, 'strong')}${drawn.join('')}`,
  });
}

/** Round steps of an axis. */
export function ticks(most: number, about: number): number[] {
  const raw = most / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(each => each * power).find(each => each >= raw)!;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

/** Room for a connection's number. */
const NUMBERS = 34;
/** Below it there is no room for one. */
const LINE_WITH_NUMBER = 12;

/** Whether the request was under way when the fault took effect. */
function hasMetIt({ fired }: PaperRun, { start, end }: Request): boolean {
  return fired !== null && start <= fired.at && end >= fired.at;
}

/** Connections in the order in which they were first used; of a client that has one for each request: none. */
function connectionsOf(sorted: readonly Request[]): string[] {
  const used = sorted.flatMap(({ connection }) => connection ?? []);
  const found = [...new Set(used)];
  return found.length < used.length ? found : [];
}

/** Every request of a run, one a line, with its connection where these are used again, and the fault across them. */
export function waterfall(run: PaperRun, title: string, width = 560): string {
  const { fired } = run;
  const requests = [...run.requests].sort((a, b) => a.start - b.start);
  const connections = connectionsOf(requests);
  const hit = requests.filter(each => hasMetIt(run, each));
  const moved = new Set(hit.flatMap(({ connection }) => connection ?? []));
  const isOnMoved = ({ connection }: Request): boolean =>
    connections.length > 0 && connection !== null && moved.has(connection);
  const later = requests.filter(each => isOnMoved(each) && fired !== null && each.start > fired.at).length;
  const named = connections.flatMap((each, index) => (moved.has(each) ? `#${index + 1}` : []));
  const left = connections.length > 0 ? NUMBERS : 8;
  const line =
    connections.length > 0
      ? Math.max(LINE_WITH_NUMBER, Math.min(15, 300 / Math.max(1, requests.length)))
      : Math.max(2, Math.min(9, 300 / Math.max(1, requests.length)));
  const top = named.length > 0 ? 72 : 56;
  const height = top + requests.length * line + 26;
  const most = Math.max(...requests.map(({ end }) => end), 1);
  const x = (ms: number): number => left + (ms / most) * (width - left - 8);
  const axis = ticks(most / 1000, 6).map(second => {
    const at = x(second * 1000);
    return `<line x1="${at.toFixed(1)}" y1="${top - 4}" x2="${at.toFixed(1)}" y2="${height - 20}" class="grid"/>${text(at, height - 6, `${Number(second.toPrecision(3))} s`, 'small', 'middle')}`;
  });
  const drawn = requests.map((request, index) => {
    const { start, end, status, connection } = request;
    const broken = status === null || status >= 400;
    const kind = broken ? 'failover' : hasMetIt(run, request) ? 'met' : run.architecture;
    const y = top + index * line;
    const number = connections.indexOf(connection ?? '') + 1;
    const onMoved = isOnMoved(request);
    return [
      number > 0 ? text(left - 6, y + line - 3, `#${number}`, onMoved ? 'small moved' : 'small', 'end') : '',
      bar(
        x(start),
        y,
        Math.max(1, x(end) - x(start)),
        Math.max(1, line - (connections.length > 0 ? 3 : 1)),
        `bar ${kind}${onMoved ? ' moved' : ''}`,
      ),
    ].join('');
  });
  const mark =
    fired === null
      ? ''
      : `<line x1="${x(fired.at).toFixed(1)}" y1="${top - 10}" x2="${x(fired.at).toFixed(1)}" y2="${height - 20}" class="mark"/>${text(x(fired.at), top - 14, `${fired.target} fails`, 'small alarm', x(fired.at) > width / 2 ? 'end' : 'start')}`;
  const noticed = run.noticed.map(
    ({ at }) =>
      `<line x1="${x(at).toFixed(1)}" y1="${top - 4}" x2="${x(at).toFixed(1)}" y2="${height - 20}" class="noticed"/>`,
  );
  const movedWords =
    named.length > 0 ? `connection ${named.join(', ')} met it and carries ${later} requests more; ` : '';
  return svg({
    width,
    height,
    title,
    described: `${requests.length} requests over ${figure(most / 1000)} s${fired ? `; ${fired.target} fails at ${figure(fired.at / 1000)} s` : ''}; ${movedWords}${run.noticed.length} troubles noticed, ${run.reloads} reloads`,
    body: `${text(0, 16, title, 'strong')}${named.length > 0 ? text(0, 33, `Outlined: what came on ${named.join(', ')}, the connection that met the failure; ${later} more after it`, 'small') : ''}${axis.join('')}${drawn.join('')}${noticed.join('')}${mark}`,
  });
}

/** Share of failovers that took at most so long, of both architectures; the axis is logarithmic. */
export function failoverCurve(
  traditional: readonly number[],
  ours: readonly number[],
  title: string,
  width = 560,
): string {
  const height = 260;
  const [left, right, top, bottom] = [44, 16, 44, 222];
  // What is less than a hundredth of a second, or a little less than nothing by chance, stands at the edge.
  const [least, most] = [0.01, 10 ** Math.ceil(Math.log10(Math.max(1, ...traditional, ...ours)))];
  const x = (seconds: number): number =>
    left + (Math.log10(Math.max(least, seconds) / least) / Math.log10(most / least)) * (width - left - right);
  const y = (share: number): number => bottom - share * (bottom - top);
  const decades = Array.from(
    { length: Math.round(Math.log10(most / least)) + 1 },
    (_, index) => least * 10 ** index,
  );
  const grid = [
    ...decades.map(
      each =>
        `<line x1="${x(each)}" y1="${top}" x2="${x(each)}" y2="${bottom}" class="grid"/>${text(x(each), bottom + 18, `${Number(each.toPrecision(1))} s`, 'small', 'middle')}`,
    ),
    ...[0, 0.5, 1].map(
      share =>
        `<line x1="${left}" y1="${y(share)}" x2="${width - right}" y2="${y(share)}" class="grid"/>${text(left - 8, y(share) + 4, `${share * 100} %`, 'small', 'end')}`,
    ),
  ];
  const curve = (values: readonly number[], kind: string): string => {
    const sorted = [...values].sort((a, b) => a - b);
    const points = sorted.flatMap((value, index) => [
      `${x(value).toFixed(1)},${y(index / sorted.length).toFixed(1)}`,
      `${x(value).toFixed(1)},${y((index + 1) / sorted.length).toFixed(1)}`,
    ]);
    const all = [`${left},${bottom}`, ...points, `${width - right},${y(1)}`];
    return sorted.length === 0 ? '' : `<polyline points="${all.join(' ')}" class="curve ${kind}"/>`;
  };
  const label = (kind: string, at: number, words: string): string =>
    `<line x1="${at}" y1="${28}" x2="${at + 22}" y2="${28}" class="curve ${kind}"/>${text(at + 28, 32, words, 'small')}`;
  return svg({
    width,
    height,
    title,
    described: `${ours.length} failovers of Resplice, ${traditional.length} of the traditional architecture`,
    body: `${text(0, 14, title, 'strong')}${label('ours', left, 'Resplice')}${label('traditional', left + 120, 'traditional')}${grid.join('')}${curve(traditional, 'traditional')}${curve(ours, 'ours')}`,
  });
}
