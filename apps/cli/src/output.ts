const terminal = process.stderr;

/** Is there a line on the terminal that the next output replaces? */
let live = false;

function clearLive(): string {
  const before = live ? '\r\x1b[2K' : '';
  live = false;
  return before;
}

/** One line for people, on standard error. */
export function say(line: string): void {
  terminal.write(`${clearLive()}resplice: ${line}\n`);
}

/** How a long operation goes on: a live line on a terminal, a line of its own otherwise. */
export function showProgress(line: string): void {
  if (!terminal.isTTY) {
    say(line);
    return;
  }
  const width = (terminal.columns || 80) - 1;
  terminal.write(`${clearLive()}${`resplice: ${line}`.slice(0, width)}`);
  live = true;
}

/** One JSON value on standard output, which carries nothing else. */
export function printJson(value: unknown): void {
  if (live) terminal.write(clearLive());
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
