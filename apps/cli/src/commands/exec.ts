import { LabError, requireRoot } from '@resplice/engines';
import { defineCommand } from '../command.ts';
import { runInForeground } from '../foreground.ts';
import { presentEngine } from '../present-engine.ts';

const usage = './resplice exec COMPONENT -- CMD...';

export const command = defineCommand({
  name: 'exec',
  synopsis: 'COMPONENT -- CMD...',
  summary: "Run a command in a component's place: its standard streams, signals and exit code pass through.",
  options: {},
  async run({ positionals }) {
    const [component, ...rest] = positionals;
    if (!component || rest.length === 0) throw new LabError('usage', `usage: ${usage}`);
    requireRoot();
    return runInForeground((await presentEngine()).commandIn(component, rest));
  },
});
