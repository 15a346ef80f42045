import { readFileSync } from 'node:fs';

/** TCP_LISTEN, as /proc writes it. */
const listening = '0A';

/** Whether somebody listens on that TCP port, whichever address, in the network of this process. */
export function listensBeside(pid: number, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['tcp', 'tcp6'].some(family => {
    let table: string;
    try {
      table = readFileSync(`/proc/${pid}/net/${family}`, 'latin1');
    } catch {
      // It has just died, or there is no such family.
      return false;
    }
    // The first line is the heading; then: number, local address, remote address, state.
    return table
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .some(([, local, , state]) => state === listening && local?.endsWith(suffix));
  });
}
