import { requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { connectionTable, labTable, siteTable, webmailTable } from '../lab-table.ts';
import { printJson } from '../output.ts';
import { presentEngine } from '../present-engine.ts';

export const command = defineCommand({
  name: 'status',
  synopsis: '[--json]',
  summary: 'Show the components and the newest connections; exit 1 when no lab is up.',
  options: { json: { type: 'boolean', help: 'one JSON object on standard output' } },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 0, './resplice status [--json]');
    requireRoot();
    const engine = await presentEngine();
    const status = await engine.status();
    const found = typeof status === 'object';
    const webmail = found ? await engine.webmailStatus() : null;
    const shown = found ? { ...status, webmail } : { state: status ?? 'down' };
    if (values.json) printJson(shown);
    else {
      const lines = found
        ? [
            ...labTable(status),
            ...['', ...siteTable(status)],
            ...(webmail ? ['', ...webmailTable(webmail)] : []),
            ...['', ...connectionTable(status)],
          ]
        : [shown.state];
      process.stdout.write(`${lines.join('\n')}\n`);
    }
    return found ? exitCode.pass : exitCode.fail;
  },
});
