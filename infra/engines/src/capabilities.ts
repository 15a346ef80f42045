import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { findBinaries, NoPostgresError, serverUser } from '@resplice/postgres';
import { command } from './command.ts';
import { LabError } from './errors.ts';

const oldestKernel = { major: 6, minor: 1 } as const;

export interface Machine {
  readonly userId: number | undefined;
  readonly platform: string;
  readonly kernelRelease: string;
  /** /proc/filesystems */
  readonly filesystems: string;
}

export function thisMachine(): Machine {
  return {
    userId: process.getuid?.(),
    platform: process.platform,
    kernelRelease: release(),
    filesystems: process.platform === 'linux' ? readFileSync('/proc/filesystems', 'utf8') : '',
  };
}

function lacking(sentence: string, cause?: unknown): LabError {
  return new LabError('capability', sentence, { cause });
}

/** @throws LabError capability: the first thing that this machine lacks, and what to do about it */
export function requireRoot({ userId }: Pick<Machine, 'userId'> = thisMachine()): void {
  if (userId !== 0) {
    throw lacking(
      'the lab makes network namespaces and loads BPF programs: run it as root (sudo ./resplice ...).',
    );
  }
}

/** @throws LabError capability */
export function requireMachine(machine: Machine = thisMachine()): void {
  const { platform, kernelRelease, filesystems } = machine;
  if (platform !== 'linux') throw lacking(`the lab needs Linux, this is ${platform}: use a Linux machine.`);
  const [major = 0, minor = 0] = kernelRelease.split('.').map(part => Number.parseInt(part, 10));
  if (major < oldestKernel.major || (major === oldestKernel.major && minor < oldestKernel.minor)) {
    throw lacking(`the lab needs Linux 6.1 or newer, this is ${kernelRelease}: boot a newer kernel.`);
  }
  requireRoot(machine);
  if (!/\bbpf$/m.test(filesystems)) {
    throw lacking("this kernel has no BPF (CONFIG_BPF_SYSCALL): boot one that has, Debian 12's own does.");
  }
}

/** @throws LabError capability when PostgreSQL, which the webmail needs, is not installed */
export function requireDatabase(): void {
  try {
    findBinaries();
    serverUser();
  } catch (error) {
    if (error instanceof NoPostgresError)
      throw lacking(`the webmail needs PostgreSQL: ${error.message}`, error);
    throw error;
  }
}

/** Tries the queueing discipline that BPF programs hang on, where it harms nobody. @throws LabError capability */
export async function requireClsact(netns: string): Promise<void> {
  try {
    await command('tc', ['-n', netns, 'qdisc', 'add', 'dev', 'lo', 'clsact']);
  } catch (cause) {
    const said = (cause as Error).message.trim().split('\n').at(-1);
    throw lacking(
      `this kernel has no clsact queueing discipline (CONFIG_NET_SCH_INGRESS): boot one that has, Debian 12's own does. tc says: ${said}`,
      cause,
    );
  }
}

/** Says which capability a failed network command was missing, if that is what its message means. */
export function asCapability(error: unknown): unknown {
  const message = error instanceof Error ? error.message : '';
  if (/Operation not permitted|mount --make-shared/.test(message)) {
    return lacking(
      'this place may not make network namespaces: run on the machine itself, or in a privileged container.',
      error,
    );
  }
  if (/Unknown device type/.test(message)) {
    return lacking(
      "this kernel lacks veth or bridge devices (CONFIG_VETH, CONFIG_BRIDGE): boot one that has, Debian 12's own does.",
      error,
    );
  }
  return error;
}
