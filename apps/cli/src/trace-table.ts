import type { Trace } from '@resplice/engines';

/** The timeline of a connection, for people: ms since the first step of each move. */
export function traceTable({ client, vip, openedMs, connection, dropped, steps }: Trace): string[] {
  const how = connection
    ? `${connection.state}${connection.backend ? `, ${connection.backend}` : ''}`
    : 'over';
  const title = `${client} to ${vip}, opened ${new Date(openedMs).toISOString()}: ${how}`;
  if (steps.length === 0) return [title, '', 'it has never left its back end'];
  const lines = [title];
  if (dropped > 0) lines.push('', `${dropped} older steps are not kept`);
  let move: number | undefined;
  let startedMs = 0;
  for (const step of steps) {
    if (step.move !== move) {
      move = step.move;
      startedMs = step.atMs;
      lines.push('', `move ${move}, ${new Date(startedMs).toISOString()}`);
    }
    lines.push(`${(step.atMs - startedMs).toFixed(1).padStart(9)} ms  ${step.what}`);
  }
  return lines;
}
