import { setTimeout as delay } from 'node:timers/promises';
import type { Engine, LabStatus } from '@resplice/engines';
import { connectionTable, labTable } from './lab-table.ts';
import { say } from './output.ts';

const refreshMs = 1000;
/** Connections that the live view lists: what it draws must fit the screen. */
const shown = 8;

interface View {
  show(status: LabStatus): void;
}

/** Redraws the table in place. */
function terminalView(terminal: NodeJS.WriteStream): View {
  let drawn = 0;
  return {
    show(status) {
      const lines = [
        ...labTable(status),
        '',
        ...connectionTable(status, shown),
        '',
        `${status.connections.length} connections. Ctrl-C takes the lab down.`,
      ];
      const width = terminal.columns || 80;
      const up = drawn > 0 ? `\x1b[${drawn}A` : '';
      terminal.write(`${up}\x1b[J${lines.map(line => `\x1b[2K${line.slice(0, width - 1)}\n`).join('')}`);
      drawn = lines.length;
    },
  };
}

/** One line for each change, for logs. */
function plainView(): View {
  const known = new Map<string, string>();
  return {
    show({ components }) {
      for (const { name, state } of components) {
        const before = known.get(name);
        if (before !== undefined && before !== state) say(`${name}: ${before} -> ${state}`);
        known.set(name, state);
      }
    },
  };
}

/** Shows the lab until the signal, or until somebody else takes it down. @returns whether it is still up */
export async function watchLab(engine: Engine, signal: AbortSignal): Promise<boolean> {
  const view = process.stderr.isTTY ? terminalView(process.stderr) : plainView();
  while (!signal.aborted) {
    const status = await engine.status();
    if (status === undefined || status === 'starting') return false;
    view.show(status);
    await delay(refreshMs, undefined, { signal }).catch(() => {});
  }
  return true;
}
