import { spawn } from 'node:child_process';

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code: number | null;
  readonly stderr: string;

  constructor(line: string, code: number | null, stderr: string) {
    super(`${line}: ${stderr.trim() || `exit ${code}`}`);
    this.code = code;
    this.stderr = stderr;
  }
}

export interface CommandOptions {
  /** Fed to standard input; without it, /dev/null. */
  readonly input?: string;
  /** Resolve whatever the exit code is. */
  readonly anyExit?: boolean;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `ip`, `tc` and `bridge` live in sbin, which a user's PATH may lack. */
export function searchPath(path = process.env.PATH ?? ''): string {
  const directories = path.split(':').filter(Boolean);
  const system = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  return [...directories, ...system.filter(each => !directories.includes(each))].join(':');
}

/** Runs a short command to its end. @throws CommandError when it cannot start or exits non-zero */
export function command(
  file: string,
  args: readonly string[],
  { input, anyExit = false }: CommandOptions = {},
): Promise<CommandResult> {
  const line = [file, ...args].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', error => reject(new CommandError(line, null, error.message)));
    child.on('close', code => {
      if (code === 0 || anyExit) resolve({ code, stdout, stderr });
      else reject(new CommandError(line, code, stderr));
    });
    // A command that failed early closes its input first; its exit code tells the story.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
