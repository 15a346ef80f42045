import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Machine } from './result.ts';

/** The first version number in what a program says of itself; wrk says it on standard output and fails. */
function versionIn(file: string, ...args: string[]): string {
  let text: string;
  try {
    text = execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', file, ...args], { encoding: 'utf8' });
  } catch (error) {
    text = String((error as { stdout?: unknown }).stdout ?? '');
  }
  return /\d+\.\d+(\.\d+)*/.exec(text)?.[0] ?? 'unknown';
}

function systemName(): string {
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
}

/** What the figures were measured on. */
export function describeMachine(): Machine {
  const processors = cpus();
  return {
    processor: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: systemName(),
    versions: {
      'Node.js': process.version.slice(1),
      HAProxy: versionIn('haproxy', '-v'),
      nginx: versionIn('nginx', '-v'),
      wrk: versionIn('wrk', '-v'),
      curl: versionIn('curl', '--version'),
    },
  };
}
