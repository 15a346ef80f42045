/** A storm for people. */
import type { StormResult } from './storm.ts';

function numbers(list: readonly number[]): string {
  const shown = list.slice(0, 10).join(', ');
  return list.length === 0 ? '' : ` (${shown}${list.length > 10 ? ', …' : ''})`;
}

function grouped(reasons: readonly string[]): string[] {
  const counts = new Map<string, number>();
  // Numbers in them are somebody's own, and no reason of their own.
  for (const reason of reasons) {
    const kind = reason.replace(/\/message\/\d+/g, '/message/…');
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([reason, count]) => `  ${count} × ${reason}`);
}

export function stormTable({
  letters,
  brokenSends,
  pages,
  sessions,
  faults,
  people,
  sendMs,
}: StormResult): string[] {
  const kinds = Map.groupBy(faults, ({ kind, point }) => (point === null ? kind : `${kind} ${point}`));
  const made = [...kinds].map(([kind, all]) => `${all.length} ${kind}`).join(', ') || 'none';
  return [
    `faults        ${made}; letters under way at each: ${faults.map(each => each.underWay).join(' ')}`,
    `letters       ${letters.begun} posted, ${letters.confirmed} confirmed, ${brokenSends.length} not`,
    `lost          ${letters.lost.length}${numbers(letters.lost)}`,
    `twice         ${letters.twice.length}${numbers(letters.twice)}`,
    `not in Sent   ${letters.unkept.length}${numbers(letters.unkept)}`,
    `unconfirmed   ${letters.unconfirmed.length} delivered all the same${numbers(letters.unconfirmed)}`,
    `sessions      ${sessions.alive} of ${people} alive, ${sessions.logOuts} times somebody was found logged out`,
    `pages         ${pages.whole} whole, ${pages.broken.length} broken`,
    `a letter took ${sendMs.median.toFixed(0)} ms (median), ${sendMs.p99.toFixed(0)} ms (p99), ${sendMs.max.toFixed(0)} ms (max)`,
    ...grouped([...brokenSends.map(({ why }) => why), ...pages.broken]),
  ];
}

/** What the drill ends with. */
export function stormSummary({
  arm,
  link,
  seed,
  sends,
  letters,
  brokenSends,
  pages,
  verdict,
}: StormResult): string {
  const wrong = `${letters.lost.length} lost, ${letters.twice.length} twice, ${brokenSends.length + pages.broken.length} pages broken`;
  return `drill storm: ${verdict}; ${sends} letters, ${wrong} (arm ${arm}, link ${link}, seed ${seed})`;
}
