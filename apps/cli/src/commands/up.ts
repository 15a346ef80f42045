import { LabError, requireMachine, type SiteFile } from '@resplice/engines';
import { type Arm, arms, most, steeringModes } from '@resplice/topology';
import { clientLink, oneOf, requirePositionals, wholeNumber } from '../arguments.ts';
import { callersCommand } from '../callers-command.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { watchLab } from '../live-view.ts';
import { say, showProgress } from '../output.ts';
import { engineNamed, engineNames } from '../present-engine.ts';
import { backendNames, readSiteFile } from '../site-file.ts';
import { withStopSignal } from '../stop-signal.ts';

/** @throws LabError usage, wrong-config */
function followedFile(file: string, backends: number, arm: Arm): SiteFile {
  if (arm !== 'resplice') throw new LabError('usage', `--config: the arm ${arm} follows no resplice.yaml`);
  const { siteFile, warnings } = readSiteFile(file, backendNames(backends));
  for (const line of warnings) say(line);
  return siteFile;
}

export const command = defineCommand({
  name: 'up',
  synopsis: '[OPTIONS]',
  summary: 'Bring the lab up and, unless detached, show it until Ctrl-C takes it down.',
  options: {
    detach: { type: 'boolean', help: 'return once everything is healthy, and leave it running' },
    engine: {
      type: 'string',
      value: 'ENGINE',
      default: 'netns',
      help: `what the hosts are made of: ${engineNames.join(', ')}`,
    },
    arm: {
      type: 'string',
      value: 'ARM',
      default: 'resplice',
      help: `what stands in the middle: ${arms.join(', ')}`,
    },
    link: {
      type: 'string',
      value: 'LINK',
      default: 'lan',
      help: "the client's: lan[-paper], wan-mit, wan-sg, wan-in, RTTms[,RATEmbit[,LOSS%]]",
    },
    proxies: { type: 'string', value: 'N', default: '2', help: `1 to ${most.proxies}` },
    backends: { type: 'string', value: 'N', default: '2', help: `1 to ${most.backends}` },
    steering: {
      type: 'string',
      value: 'MODE',
      default: 'hash',
      help: 'one proxy a connection (hash), or any for each packet (spray)',
    },
    site: {
      type: 'string',
      value: 'SITE',
      help: 'what back ends serve: webmail (unless you say otherwise), or demo, a page with downloads',
    },
    'backend-cmd': {
      type: 'string',
      value: 'CMD',
      help: 'your server instead: run by sh -c in each back end, listening on 0.0.0.0:$PORT',
    },
    config: {
      type: 'string',
      value: 'FILE',
      help: 'a resplice.yaml: listeners, pools, allow-lists, limits; else port 80 and a pool of all',
    },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 0, './resplice up [OPTIONS]');
    const engineName = oneOf('--engine', values.engine, engineNames);
    const arm = oneOf('--arm', values.arm, arms);
    const backends = wholeNumber('--backends', values.backends, 1, most.backends);
    if (values.site !== undefined && values['backend-cmd'] !== undefined)
      throw new LabError('usage', '--site names a site of ours, --backend-cmd is yours: give one of them');
    const site = oneOf('--site', values.site ?? 'webmail', ['webmail', 'demo'] as const);
    const options = {
      arm,
      site,
      proxies: wholeNumber('--proxies', values.proxies, 1, most.proxies),
      backends,
      link: clientLink('--link', values.link),
      steering: oneOf('--steering', values.steering, steeringModes),
      backendCommand: values['backend-cmd'] === undefined ? null : callersCommand(values['backend-cmd']),
      siteFile: values.config === undefined ? undefined : followedFile(values.config, backends, arm),
    };
    requireMachine();
    const engine = await engineNamed(engineName);
    return withStopSignal(async signal => {
      const started = Date.now();
      await engine.up(options, { signal, progress: showProgress });
      const hasAccounts = options.backendCommand === null && site === 'webmail';
      const accounts = hasAccounts ? await (await import('../mail-accounts.ts')).addDemoAccounts() : null;
      say(`up and healthy after ${((Date.now() - started) / 1000).toFixed(1)} s`);
      if (accounts !== null) say(accounts);
      if (values.detach) return exitCode.pass;
      if (await watchLab(engine, signal)) {
        say('taking the lab down');
        await engine.down();
      } else say('the lab was taken down');
      return exitCode.pass;
    });
  },
});
