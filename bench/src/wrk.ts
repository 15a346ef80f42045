/** What one run of wrk says at its end. */
export interface WrkResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  /** Failed or timed-out connections, reads and writes, and responses other than 2xx and 3xx. */
  readonly errors: number;
}

function numberIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** @throws Error when that is not the report of a whole run */
export function parseWrk(report: string): WrkResult {
  const requests = numberIn(report, /^\s*(\d+) requests in /m);
  const requestsPerSecond = numberIn(report, /^Requests\/sec:\s*([\d.]+)/m);
  if (requests === undefined || requestsPerSecond === undefined) {
    throw new Error(`wrk's report cannot be read:\n${report}`);
  }
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(report);
  const errors = (sockets?.slice(1) ?? []).reduce((sum, each) => sum + Number(each), 0);
  return {
    requests,
    requestsPerSecond,
    errors: errors + (numberIn(report, /Non-2xx or 3xx responses: (\d+)/) ?? 0),
  };
}
