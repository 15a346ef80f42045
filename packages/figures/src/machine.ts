import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** What figures were measured on. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly system: string;
  /** Program → version. */
  readonly versions: Readonly<Record<string, string>>;
}

/** A program's name, and what makes it say its version. */
export type Program = readonly [name: string, file: string, ...argv: string[]];

/** The first version number in what a program says of itself, on whichever output, and though it fails, as wrk does. */
function versionOf([, file, ...argv]: Program): string {
  let text: string;
  try {
    text = execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', file, ...argv], { encoding: 'utf8' });
  } catch (error) {
    text = String((error as { stdout?: unknown }).stdout ?? '');
  }
  return /\d+(\.\d+)+/.exec(text)?.[0] ?? 'unknown';
}

function systemName(): string {
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
}

/** @param programs that took part, besides Node.js */
export function describeMachine(programs: readonly Program[]): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: systemName(),
    versions: {
      'Node.js': process.version.slice(1),
      ...Object.fromEntries(programs.map(program => [program[0], versionOf(program)])),
    },
  };
}
