import { requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { say } from '../output.ts';
import { presentEngine } from '../present-engine.ts';

export const command = defineCommand({
  name: 'down',
  synopsis: '',
  summary: 'Take the lab down, whatever state it is in, and leave nothing behind.',
  options: {},
  async run({ positionals }) {
    requirePositionals(positionals, 0, 0, './resplice down');
    requireRoot();
    say((await (await presentEngine()).down()) ? 'down' : 'no lab was up');
    return exitCode.pass;
  },
});
