import { requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, say } from '../output.ts';
import { presentEngine } from '../present-engine.ts';
import { traceTable } from '../trace-table.ts';

export const command = defineCommand({
  name: 'trace',
  synopsis: 'CLIENT [--json]',
  summary: "Show how a connection was moved: ADDRESS:PORT, or ADDRESS for a client's newest one.",
  options: { json: { type: 'boolean', help: 'one JSON object on standard output' } },
  async run({ values, positionals }) {
    requirePositionals(positionals, 1, 1, './resplice trace CLIENT [--json]');
    requireRoot();
    const { trace, why } = await (await presentEngine()).trace(positionals[0]!);
    if (!trace) {
      say(why);
      return exitCode.fail;
    }
    if (values.json) printJson(trace);
    else process.stdout.write(`${traceTable(trace).join('\n')}\n`);
    return exitCode.pass;
  },
});
