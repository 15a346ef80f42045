// The engine's command line, for one deployment of ours.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CommandResult, command, LabError, labPlace } from '@resplice/engines';
import type { Host } from '@resplice/topology';
import { composeText, networkNameOf, projectName } from '../compose-file.ts';
import { argumentsOf, type Deployment, type Settings } from '../deployment.ts';
import { besides } from '../services.ts';

const pollMs = 200;

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** What `docker inspect` shows of a container, the part that counts. */
export interface SeenContainer {
  readonly Name: string;
  readonly State: {
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly Pid: number;
    readonly Health?: { readonly Status: string };
  };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> };
}

/** @throws LabError capability */
export async function requireEngine(): Promise<void> {
  const answer = await command('docker', ['version'], { anyExit: true }).catch(() => undefined);
  if (answer?.code !== 0) {
    throw new LabError('capability', 'no container engine answers: start Docker, or leave --engine out.');
  }
  const compose = await command('docker', ['compose', 'version'], { anyExit: true });
  if (compose.code !== 0) throw new LabError('capability', 'docker has no "compose": install its plugin.');
}

/** All services of a host, the one that owns its network first. */
export function servicesOf(host: Host): string[] {
  return [host.name, ...besides(host).map(part => `${host.name}-${part.name}`)];
}

/** The service in which a process of the host runs. */
export function serviceOf(host: Host, process: string): string {
  return besides(host).some(({ name }) => name === process) ? `${host.name}-${process}` : host.name;
}

export function containerOf(service: string): string {
  return `${projectName}-${service}-1`;
}

/** What shows the log of a service's containers, and goes on through restarts when it is told to follow. */
export function logCommand(service: string): (follow: boolean) => readonly [string, ...string[]] {
  return follow => [
    ...([
      'docker',
      'compose',
      '--project-name',
      projectName,
      'logs',
      '--no-log-prefix',
      '--no-color',
    ] as const),
    ...(follow ? ['--follow'] : []),
    service,
  ];
}

export class Project {
  readonly #deployment: Deployment;

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  compose(args: readonly string[], { anyExit = false } = {}): Promise<CommandResult> {
    const options = ['compose', '--file', '-', '--project-directory', root, '--profile', '*'];
    return command('docker', [...options, ...args], { input: composeText(this.#deployment), anyExit });
  }

  async build(): Promise<void> {
    await this.compose(['build', '--quiet']);
  }

  /** Writes down what every container finds settled from here on. */
  async settle(settings: Settings): Promise<void> {
    // Standard input is taken.
    const file = join(labPlace.runDirectory, 'compose.yml');
    writeFileSync(file, composeText(this.#deployment));
    const where = ['--file', file, '--project-directory', root];
    const settling = ['settle', ...argumentsOf(this.#deployment)];
    const input = JSON.stringify(settings);
    await command('docker', ['compose', ...where, 'run', '--rm', '--no-deps', '-T', 'keys', ...settling], {
      input,
    });
  }

  /**
   * Starts services that do not run, and waits until they are healthy.
   * @throws LabError unhealthy, with what the engine and the containers said last
   */
  async start(services: readonly string[], deadlineMs: number, { build = false } = {}): Promise<void> {
    const wait = ['--wait', '--wait-timeout', String(Math.ceil(deadlineMs / 1000))];
    const { code, stderr } = await this.compose(
      ['up', '--detach', ...(build ? ['--build'] : []), ...wait, ...services],
      {
        anyExit: true,
      },
    );
    if (code === 0) return;
    const said = stderr.trim().split('\n').slice(-3);
    const { stdout } = await this.compose(['logs', '--tail', '3', '--no-color', ...services], {
      anyExit: true,
    });
    throw new LabError('unhealthy', `not healthy after ${deadlineMs / 1000} s: ${said.at(-1)}`, {
      details: [...said, ...stdout.trim().split('\n')],
    });
  }

  /**
   * Waits until no running container is called unhealthy any more: one that was cut off or stood still stays so until the engine
   * looks again, and nothing that depends on it is started meanwhile.
   * @throws LabError unhealthy
   */
  async untilRecovered(services: readonly string[], deadlineMs: number): Promise<void> {
    for (const deadline = Date.now() + deadlineMs; ; await delay(pollMs)) {
      const seen = await this.inspect(services);
      const ill = [...seen].filter(([, { State }]) => State.Running && State.Health?.Status === 'unhealthy');
      if (ill.length === 0) return;
      if (Date.now() > deadline) {
        const names = ill.map(([service]) => service).join(', ');
        throw new LabError('unhealthy', `not healthy after ${deadlineMs / 1000} s: ${names}`);
      }
    }
  }

  /** Stops these services, which are no part of the deployment any more, and removes them. */
  async remove(services: readonly string[]): Promise<void> {
    await this.compose(['rm', '--stop', '--force', ...services]);
  }

  async down(): Promise<void> {
    await this.compose(['down', '--volumes', '--remove-orphans', '--timeout', '5']);
  }

  /** Those that exist, by service. */
  async inspect(services: readonly string[]): Promise<Map<string, SeenContainer>> {
    const { stdout } = await command('docker', ['inspect', ...services.map(containerOf)], { anyExit: true });
    const found = JSON.parse(stdout || '[]') as SeenContainer[];
    const byName = new Map(found.map(each => [each.Name.slice(1), each]));
    return new Map(
      services.flatMap(service => {
        const seen = byName.get(containerOf(service));
        return seen ? [[service, seen] as const] : [];
      }),
    );
  }

  /** Does it to those for which it makes sense now. */
  async #each(
    verb: readonly [string, ...string[]],
    services: readonly string[],
    fits: (state: SeenContainer['State']) => boolean,
  ): Promise<number> {
    const seen = await this.inspect(services);
    const targets = [...seen].filter(([, { State }]) => fits(State)).map(([service]) => containerOf(service));
    if (targets.length > 0) await command('docker', [...verb, ...targets]);
    return targets.length;
  }

  kill(services: readonly string[]): Promise<number> {
    return this.#each(['kill'], services, ({ Running }) => Running);
  }

  /** To the first process of each. */
  signal(services: readonly string[], signal: NodeJS.Signals): Promise<number> {
    const sent = ({ Running, Paused }: SeenContainer['State']) => Running && !Paused;
    return this.#each(['kill', '--signal', signal], services, sent);
  }

  pause(services: readonly string[]): Promise<number> {
    return this.#each(['pause'], services, ({ Running, Paused }) => Running && !Paused);
  }

  unpause(services: readonly string[]): Promise<number> {
    return this.#each(['unpause'], services, ({ Paused }) => Paused);
  }

  /** Takes the host off all of its networks; its processes live on. */
  async disconnect(host: Host): Promise<void> {
    const seen = (await this.inspect([host.name])).get(host.name);
    for (const { network } of host.interfaces) {
      const name = networkNameOf(network);
      if (!seen || !(name in seen.NetworkSettings.Networks)) continue;
      await command('docker', ['network', 'disconnect', name, containerOf(host.name)]);
    }
  }

  async connect(host: Host): Promise<void> {
    const seen = (await this.inspect([host.name])).get(host.name);
    for (const { network, address } of host.interfaces) {
      const name = networkNameOf(network);
      if (!seen || address === undefined || name in seen.NetworkSettings.Networks) continue;
      await command('docker', ['network', 'connect', '--ip', address, name, containerOf(host.name)]);
    }
  }
}
