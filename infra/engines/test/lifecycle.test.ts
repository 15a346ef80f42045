import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { command } from '../src/command.ts';
import type { LabStatus } from '../src/index.ts';
import { netnsDirectory, netnsPathOf } from '../src/place.ts';
import { isDead, processEntry } from '../src/process-table.ts';
import { failingDaemon, remains, stubDaemon, testEngine, testPlace, until } from './fixtures/test-lab.ts';

const place = testPlace('lifecycle');
const engine = testEngine(place);
const small = { proxies: 1, backends: 1, backendCommand: null };

async function status(): Promise<LabStatus> {
  const found = await engine.status();
  assert.ok(found && found !== 'starting');
  return found;
}

/** Another process that brings the same lab up, as another call of the CLI would. */
function upElsewhere() {
  const script = fileURLToPath(new URL('fixtures/up-elsewhere.ts', import.meta.url));
  const child = spawn(process.execPath, [script, place.name], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<string>(resolve => child.on('close', () => resolve(output)));
  return { child, ended, said: (text: string) => until(text, () => output.includes(text)) };
}

suite('the life of a lab', { timeout: 120_000 }, () => {
  afterEach(async () => {
    await engine.down();
    assert.deepEqual(remains(place), []);
  });

  test("the user's command runs in the caller's directory and environment, and again one second after it exits", async () => {
    const directory = realpathSync(mkdtempSync(join(tmpdir(), 'resplice-test-')));
    try {
      await engine.up({
        ...small,
        backendCommand: {
          command: `echo run >> runs; echo "$BACKEND_ID $PORT $COLOUR"; exec "$NODE" "$STUB"`,
          directory,
          environment: {
            ...process.env,
            COLOUR: 'green',
            NODE: process.execPath,
            STUB: stubDaemon,
          } as Record<string, string>,
        },
      });
      const log = readFileSync(engine.logs('backend-1/app')[0]!.path, 'utf8');
      assert.match(log, /^backend-1 8080 green$/m);
      const first = (await status()).components.find(each => each.name === 'backend-1')!.processes.app!;
      process.kill(first, 'SIGKILL');
      const runs = () => readFileSync(join(directory, 'runs'), 'utf8');
      await until('a second run', () => runs() === 'run\nrun\n');

      await engine.crash('backend-1/app');
      const gone = (await status()).components.find(each => each.name === 'backend-1')!;
      assert.deepEqual([gone.state, Object.keys(gone.processes)], ['degraded', ['agent']]);
      await engine.heal();
      assert.equal(runs(), 'run\nrun\nrun\n', 'nothing ran it between crash and heal');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('the key and the lab file are for root only', async () => {
    await engine.up(small);
    for (const path of [place.keyFile, place.labFile]) assert.equal(statSync(path).mode & 0o777, 0o600, path);
    assert.match(readFileSync(place.keyFile, 'utf8'), /^[0-9a-f]{64}\n$/);
  });

  test('a daemon that dies at start fails the lab at once, with its last words, and leaves nothing', async () => {
    const broken = testEngine(place, app => (app === 'lb' ? failingDaemon : stubDaemon));
    await assert.rejects(broken.up(small), {
      code: 'unhealthy',
      message: /lb-1\/lb: not running/,
      details: ['lb-1/lb | config: vips[0].address: missing'],
    });
    assert.deepEqual(remains(place), []);
  });

  test('an interrupted up leaves nothing', async () => {
    const controller = new AbortController();
    const progress = (line: string) => {
      if (line.startsWith('started')) controller.abort();
    };
    await assert.rejects(engine.up(small, { signal: controller.signal, progress }), { code: 'interrupted' });
    assert.deepEqual(remains(place), []);
  });

  test('after a killed up the next one sweeps and succeeds', async () => {
    const other = upElsewhere();
    await other.said('started');
    other.child.kill('SIGKILL');
    await other.ended;
    assert.notDeepEqual(remains(place), []);
    assert.equal(await engine.status(), undefined);
    const told: string[] = [];
    await engine.up(small, { progress: line => told.push(line) });
    assert.match(told[0]!, /^sweeping up/);
    assert.equal((await status()).components.length, 5);
  });

  test('down ends an up that is still on its way', async () => {
    const other = upElsewhere();
    await other.said('network');
    assert.equal(await engine.down(), true);
    assert.match(await other.ended, /interrupted/);
    assert.deepEqual(remains(place), []);
  });

  test('of two ups at the same time one wins and the other is refused', async () => {
    const results = await Promise.allSettled([engine.up(small), engine.up(small)]);
    assert.deepEqual(results.map(each => each.status).sort(), ['fulfilled', 'rejected']);
    assert.equal((await status()).components.length, 5);
  });

  test('down copes with half a lab: no lab file, a namespace that is a mere file, mounts on mounts', async () => {
    await engine.up(small);
    const pids = (await status()).components.flatMap(each => Object.values(each.processes));
    rmSync(place.labFile);
    writeFileSync(join(netnsDirectory, `${place.netnsPrefix}half`), '');
    await command('mount', ['-t', 'bpf', 'bpf', place.bpfDirectory]);
    mkdirSync(join(place.runDirectory, 'other'));
    await command('mount', ['-t', 'tmpfs', 'tmpfs', join(place.runDirectory, 'other')]);
    assert.equal(await engine.down(), true);
    assert.deepEqual(remains(place), []);
    for (const pid of pids) {
      const entry = processEntry(pid);
      assert.ok(!entry || isDead(entry), `${pid} lives`);
    }
  });

  test('down touches no process and no namespace that is not ours', async () => {
    const stranger = `x${place.name}-client-1`;
    await command('ip', ['netns', 'add', stranger]);
    const sleeper = spawn('nsenter', [`--net=${join(netnsDirectory, stranger)}`, '--', 'sleep', '600']);
    try {
      await engine.up(small);
      await engine.down();
      assert.equal(sleeper.exitCode ?? sleeper.signalCode, null);
      const { stdout } = await command('ip', ['netns', 'list']);
      assert.ok(stdout.includes(stranger));
    } finally {
      sleeper.kill('SIGKILL');
      await command('ip', ['netns', 'del', stranger]);
    }
  });

  test('a namespace name bound to the machine itself does not make the machine ours', async () => {
    const name = `${place.netnsPrefix}self`;
    await command('ip', ['netns', 'attach', name, String(process.pid)]);
    assert.equal(await engine.down(), true);
  });

  test('at most sizes it comes up, every proxy plugged into both networks', async () => {
    await engine.up({ proxies: 16, backends: 1, backendCommand: null });
    const { stdout } = await command('bridge', ['-n', `${place.netnsPrefix}fabric`, 'link']);
    const forwarding = stdout.split('\n').filter(line => line.includes('state forwarding'));
    assert.equal(forwarding.length, 1 + 2 + 2 * 16 + 2 + 1);
    const routes = await command('nsenter', [`--net=${netnsPathOf(place, 'proxy-16')}`, '--', 'ip', 'route']);
    assert.match(routes.stdout, /10\.64\.0\.0\/24 via 10\.63\.0\.1/);
    assert.match(routes.stdout, /blackhole 10\.60\.0\.0\/24/);
  });
});
