import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { showLog } from '../src/log-reader.ts';

suite('a log that a command shows', () => {
  const source = (script: string) => ({
    component: 'proxy-1',
    process: 'proxy',
    command: (follow: boolean) => ['sh', '-c', script, 'log', String(follow)] as const,
  });

  test('comes by lines, whichever way the command says them, and named when there are several', async () => {
    const lines: string[] = [];
    const { signal } = new AbortController();
    const print = (more: readonly string[]) => lines.push(...more);
    await showLog(source('echo "$1"; echo more >&2'), { named: true, follow: false, signal, print });
    assert.deepEqual(lines.sort(), ['proxy-1/proxy | false', 'proxy-1/proxy | more']);
  });

  test('is followed until that is ended', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    await showLog(source('echo begun; exec sleep 600'), {
      named: false,
      follow: true,
      signal: stop.signal,
      print(more) {
        lines.push(...more);
        stop.abort();
      },
    });
    assert.deepEqual(lines, ['begun']);
  });
});
