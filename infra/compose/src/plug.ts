// Makes a container's network its host's of the topology, and keeps it so: the engine may take a network away and bring it back
// as another device.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Host } from '@resplice/topology';
import { ip, shown } from './ip.ts';
import { pluggedFile } from './paths.ts';
import { planFor, type SeenDevice, type SeenRoute } from './plan.ts';

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** @returns whether every interface is there */
async function plugOnce(host: Host): Promise<boolean> {
  const [devices, routes] = await Promise.all([shown<SeenDevice>('address'), shown<SeenRoute>('route')]);
  const { missing, commands } = planFor(host, devices, routes);
  for (const command of commands) await ip(...command);
  if (missing.length > 0) rmSync(pluggedFile, { force: true });
  else writeFileSync(pluggedFile, '');
  if (commands.length > 0) say(`network: ${commands.map(command => command.join(' ')).join('; ')}`);
  return missing.length === 0;
}

/**
 * Resolves once the host is on all of its networks; goes on following what the engine changes.
 * @param fail is told when following has ended
 */
export async function plug(host: Host, fail: (error: Error) => void): Promise<void> {
  const monitor = spawn('ip', ['monitor', 'address', 'route'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(monitor, 'spawn');
  monitor.once('exit', code => fail(new Error(`ip monitor ended with ${code}`)));
  const plugged = Promise.withResolvers<void>();
  let under = false;
  let again = false;
  const follow = async (): Promise<void> => {
    again = true;
    if (under) return;
    under = true;
    try {
      while (again) {
        again = false;
        const whole = await plugOnce(host).catch((error: Error) => {
          // A device may go between being seen and being named, and another event follows; a right that is missing never comes.
          if (/not permitted/.test(error.message)) fail(error);
          else say(`network: ${error.message}`);
        });
        if (whole) plugged.resolve();
      }
    } finally {
      under = false;
    }
  };
  createInterface({ input: monitor.stdout }).on('line', () => void follow());
  await follow();
  await plugged.promise;
}
