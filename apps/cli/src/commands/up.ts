import { type BackendCommand, NetnsEngine, requireMachine } from '@resplice/engines';
import { arms, most, steeringModes } from '@resplice/topology';
import { oneOf, requirePositionals, wholeNumber } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { watchLab } from '../live-view.ts';
import { say, showProgress } from '../output.ts';
import { withStopSignal } from '../stop-signal.ts';

function callersCommand(command: string): BackendCommand {
  const environment = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return { command, directory: process.cwd(), environment: Object.fromEntries(environment) };
}

export const command = defineCommand({
  name: 'up',
  synopsis: '[OPTIONS]',
  summary: 'Bring the lab up and, unless detached, show it until Ctrl-C takes it down.',
  options: {
    detach: { type: 'boolean', help: 'return once everything is healthy, and leave it running' },
    engine: { type: 'string', value: 'ENGINE', default: 'netns', help: 'what the hosts are made of' },
    arm: {
      type: 'string',
      value: 'ARM',
      default: 'resplice',
      help: `what stands in the middle: ${arms.join(', ')}`,
    },
    link: { type: 'string', value: 'LINK', default: 'lan', help: "the client's link" },
    proxies: { type: 'string', value: 'N', default: '2', help: `1 to ${most.proxies}` },
    backends: { type: 'string', value: 'N', default: '2', help: `1 to ${most.backends}` },
    steering: {
      type: 'string',
      value: 'MODE',
      default: 'hash',
      help: 'one proxy a connection (hash), or any for each packet (spray)',
    },
    'backend-cmd': {
      type: 'string',
      value: 'CMD',
      help: 'your server: run by sh -c in each back end, listening on 0.0.0.0:$PORT; else a demo site',
    },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 0, 0, './resplice up [OPTIONS]');
    oneOf('--engine', values.engine, ['netns']);
    oneOf('--link', values.link, ['lan']);
    const options = {
      arm: oneOf('--arm', values.arm, arms),
      proxies: wholeNumber('--proxies', values.proxies, 1, most.proxies),
      backends: wholeNumber('--backends', values.backends, 1, most.backends),
      steering: oneOf('--steering', values.steering, steeringModes),
      backendCommand: values['backend-cmd'] === undefined ? null : callersCommand(values['backend-cmd']),
    };
    requireMachine();
    const engine = new NetnsEngine();
    return withStopSignal(async signal => {
      const started = Date.now();
      await engine.up(options, { signal, progress: showProgress });
      say(`up and healthy after ${((Date.now() - started) / 1000).toFixed(1)} s`);
      if (values.detach) return exitCode.pass;
      if (await watchLab(engine, signal)) {
        say('taking the lab down');
        await engine.down();
      } else say('the lab was taken down');
      return exitCode.pass;
    });
  },
});
