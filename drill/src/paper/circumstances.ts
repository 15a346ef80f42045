/** What figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Circumstances } from './folder.ts';

/** The first version number in what a program says of itself. */
function versionOf(file: string, ...args: string[]): string {
  const said = execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? 'unknown';
}

/** @param command as it can be given again @throws Error when a program is missing */
export function describeCircumstances(command: string, at: Date): Circumstances {
  const processors = cpus();
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return {
    at: at.toISOString(),
    command,
    processor: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: system ?? 'unknown',
    versions: {
      'Node.js': process.version.slice(1),
      HAProxy: versionOf('haproxy', '-v'),
      Chromium: versionOf('/usr/bin/chromium', '--version'),
    },
  };
}
