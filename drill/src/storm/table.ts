/** A storm for people. */
import type { StormResult } from './storm.ts';
import { unreached } from './verdict.ts';

function numbers(list: readonly number[]): string {
  const shown = list.slice(0, 10).join(', ');
  return list.length === 0 ? '' : ` (${shown}${list.length > 10 ? ', …' : ''})`;
}

/** What went wrong, and how often; the most frequent first. */
export function grouped(reasons: readonly string[]): { count: number; reason: string }[] {
  const counts = new Map<string, number>();
  // Numbers in them are somebody's own, and no reason of their own.
  for (const reason of reasons) {
    const kind = reason.replace(/\/message\/\d+/g, '/message/…');
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([reason, count]) => ({ count, reason }));
}

/** How often a letter was stopped at each; where that is less often than was tried, of how many. */
export function pointsText(points: StormResult['points']): string {
  return Object.entries(points)
    .map(([point, { aimed, reached }]) => `${point} ${reached}${reached < aimed ? ` of ${aimed}` : ''}`)
    .join(', ');
}

export function stormTable({
  letters,
  brokenSends,
  pages,
  sessions,
  faults,
  points,
  people,
  sendMs,
}: StormResult): string[] {
  const kinds = Map.groupBy(faults, ({ kind, point }) => (point === null ? kind : `${kind} ${point}`));
  const made = [...kinds].map(([kind, all]) => `${all.length} ${kind}`).join(', ') || 'none';
  return [
    `faults        ${made}; letters under way at each: ${faults.map(each => each.underWay).join(' ')}`,
    `points        ${pointsText(points)}`,
    `letters       ${letters.begun} posted, ${letters.confirmed} confirmed, ${brokenSends.length} not`,
    `lost          ${letters.lost.length}${numbers(letters.lost)}`,
    `twice         ${letters.twice.length}${numbers(letters.twice)}`,
    `astray        ${letters.astray.length}${numbers(letters.astray)}`,
    `altered       ${letters.altered.length}${numbers(letters.altered)}`,
    `not in Sent   ${letters.unkept.length}${numbers(letters.unkept)}`,
    `unconfirmed   ${letters.unconfirmed.length} delivered all the same${numbers(letters.unconfirmed)}`,
    `sessions      ${sessions.alive} of ${people} alive, ${sessions.logOuts} times somebody was found logged out`,
    `pages         ${pages.whole} whole, ${pages.broken.length} broken`,
    `a letter took ${sendMs.median.toFixed(0)} ms (median), ${sendMs.p99.toFixed(0)} ms (p99), ${sendMs.max.toFixed(0)} ms (max)`,
    ...grouped([...brokenSends.map(({ why }) => why), ...pages.broken]).map(
      ({ count, reason }) => `  ${count} × ${reason}`,
    ),
  ];
}

/** What the drill ends with. */
export function stormSummary({
  arm,
  link,
  seed,
  sends,
  letters,
  points,
  brokenSends,
  pages,
  verdict,
}: StormResult): string {
  const never = verdict === 'inconclusive' ? unreached(points) : [];
  const missed = never.length > 0 ? `; none was stopped at ${never.join(', ')}` : '';
  const wrong = `${letters.lost.length} lost, ${letters.twice.length} twice, ${brokenSends.length + pages.broken.length} pages broken`;
  return `drill storm: ${verdict}; ${sends} letters, ${wrong}${missed} (arm ${arm}, link ${link}, seed ${seed})`;
}
