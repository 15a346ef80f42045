/** The kernel's own emulation, on a kernel that has it: Debian's user-mode Linux, booted for this. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

const DEADLINE_MS = 420_000;

/** Boots the kernel, and has it run a test file. @returns all that it printed */
async function bootAndTest(file: string): Promise<string> {
  const settings = { node: process.execPath, directory: repository, file };
  const kernel = spawn(
    'linux.uml',
    [
      'mem=1G',
      ...['root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'rw', 'quiet'],
      ...['con=null', 'con0=fd:0,fd:1', `init=${fixture('uml-init.sh')}`],
      ...Object.entries(settings).map(([name, value]) => `${name}=${value}`),
    ],
    // A session of its own: its helpers end with it.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const timer = setTimeout(() => process.kill(-kernel.pid!, 'SIGKILL'), DEADLINE_MS);
  let output = '';
  for (const stream of [kernel.stdout, kernel.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text;
    });
  }
  await once(kernel, 'close');
  clearTimeout(timer);
  return output;
}

/** Debian builds this kernel for x86 alone. */
const skip = process.arch === 'x64' ? false : 'there is no user-mode Linux for this processor';

suite('tc netem', { timeout: DEADLINE_MS + 10_000, skip }, () => {
  test('on Linux 6.1 keeps the same promises as the emulator', async t => {
    const output = await bootAndTest(fixture('kernel-netem.ts'));
    const said = output.split('\n').map(line => line.trim());
    for (const line of said.filter(each => /^(not )?ok |^# (?!Subtest)/.test(each))) t.diagnostic(line);
    assert.ok(said.includes('exit 0'), output);
    const passed = said.filter(line => line.startsWith('ok ')).length;
    assert.ok(passed > 12, `only ${passed} tests ran:\n${output}`);
    assert.ok(!said.some(line => line.startsWith('not ok ') || /# (SKIP|TODO)/.test(line)), output);
  });
});
