import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { helpText } from '../help-text.ts';
import { loadAllVerbs } from '../verbs.ts';

export const command = defineCommand({
  name: 'help',
  synopsis: '',
  summary: 'Show this help; every verb also takes --help.',
  options: {},
  async run() {
    process.stdout.write(helpText(await loadAllVerbs()));
    return exitCode.pass;
  },
});
