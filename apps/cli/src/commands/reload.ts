import { LabError, requireRoot } from '@resplice/engines';
import { requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, say } from '../output.ts';
import { presentEngine } from '../present-engine.ts';
import { readSiteFile } from '../site-file.ts';
import { withStopSignal } from '../stop-signal.ts';

export const command = defineCommand({
  name: 'reload',
  synopsis: '[FILE]',
  summary: 'Follow a changed resplice.yaml, or another one: no connection notices. Wrong: nothing changes.',
  options: {},
  async run({ positionals }) {
    requirePositionals(positionals, 0, 1, './resplice reload [FILE]');
    requireRoot();
    const engine = await presentEngine();
    const { arm, backends, siteFile: followed } = engine.deployment();
    if (arm !== 'resplice') throw new LabError('usage', `the arm ${arm} follows no resplice.yaml`);
    const file = positionals[0] ?? followed;
    if (file === null)
      throw new LabError('usage', 'the lab follows no file yet; try: ./resplice reload FILE');
    const { siteFile, warnings } = readSiteFile(file, backends);
    for (const line of warnings) say(line);
    const report = await withStopSignal(signal => engine.reload(siteFile, { signal }));
    for (const line of report.notes) say(line);
    if (report.later.length > 0)
      say(`not running now, and to follow it from their next start on: ${report.later.join(', ')}`);
    printJson({ kind: 'reload', ...report });
    return exitCode.pass;
  },
});
