import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const fixture = fileURLToPath(new URL('fixtures/foreground.ts', import.meta.url));

function run(script: string, input = '') {
  return spawnSync(process.execPath, [fixture, 'sh', '-c', script], { encoding: 'utf8', input });
}

suite('a command in the foreground', { timeout: 30_000 }, () => {
  test('has our standard streams', () => {
    const { stdout, stderr, status } = run('cat; echo problem >&2', 'bytes');
    assert.deepEqual([stdout, stderr, status], ['bytes', 'problem\n', 0]);
  });

  test('passes its exit code through, and 128 + N when signal N ended it', () => {
    assert.equal(run('exit 7').status, 7);
    assert.equal(run('kill -KILL $$').status, 137);
    assert.equal(run('kill -TERM $$').status, 143);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) {
    test(`is handed our ${signal}, and what it makes of it counts`, async () => {
      const script = `trap 'echo caught; exit 9' ${signal.slice(3)}; echo ready; for i in $(seq 100); do sleep 0.05; done`;
      const child = spawn(process.execPath, [fixture, 'sh', '-c', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('ready')) child.kill(signal);
        output += text;
      });
      const [code] = await once(child, 'close');
      assert.deepEqual([output, code], ['ready\ncaught\n', 9]);
    });
  }
});
