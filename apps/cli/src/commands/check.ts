import { formatProblem } from '@resplice/site-config';
import { most } from '@resplice/topology';
import { requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson } from '../output.ts';
import { backendNames, checkSiteFile } from '../site-file.ts';

export const command = defineCommand({
  name: 'check',
  synopsis: 'FILE [OPTIONS]',
  summary:
    'Check a resplice.yaml: everything that is wrong with it, each with its line; exit 1 if anything is.',
  options: {
    backends: { type: 'string', value: 'N', default: '2', help: 'how many back ends it is for' },
    json: { type: 'boolean', help: 'one JSON object on standard output' },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 1, 1, './resplice check FILE');
    const file = positionals[0]!;
    const count = wholeNumber('--backends', values.backends, 1, most.backends);
    const checked = checkSiteFile(file, backendNames(count));
    const problems = checked.ok ? [] : checked.problems;
    if (values.json) printJson({ ok: checked.ok, problems, warnings: checked.warnings });
    else {
      for (const problem of [...problems, ...checked.warnings]) console.log(formatProblem(problem));
      if (checked.ok) console.log(`${file}: valid`);
    }
    return checked.ok ? exitCode.pass : exitCode.fail;
  },
});
