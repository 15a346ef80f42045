import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, type TestContext, test } from 'node:test';
import { ask, until } from '../testing/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'daemon-'));
after(() => rmSync(directory, { recursive: true }));
const keyFile = join(directory, 'key');
writeFileSync(keyFile, `${'ab'.repeat(32)}\n`);
chmodSync(keyFile, 0o600);
const MAIN = join(import.meta.dirname, 'fixtures/daemon.ts');

let count = 0;

/** Starts the fixture with a config, or with arguments of one's own. */
function start(t: TestContext, config: object, args?: string[]) {
  const n = ++count;
  const socket = join(directory, `sockets/${n}.sock`);
  const file = join(directory, `${n}.json`);
  const common = { name: 'test-1', id: 1, keyFile, pinDirectory: '/nowhere', admin: { socket } };
  writeFileSync(file, JSON.stringify({ ...common, behaviour: 'good', ...config }));
  const child = spawn(process.execPath, [MAIN, ...(args ?? ['--config', file])]);
  t.after(() => child.kill('SIGKILL'));
  const seen = { out: '', err: '' };
  child.stdout.on('data', text => {
    seen.out += text;
  });
  child.stderr.on('data', text => {
    seen.err += text;
  });
  const ended = once(child, 'close').then(() => child.exitCode);
  return { child, socket, file, seen, ended };
}

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));

async function untilAnswers(socket: string, path = '/healthz', code = 200) {
  const answered = () =>
    ask(socket, path).then(
      reply => reply.code === code,
      () => false,
    );
  await until(`${path} answers ${code}`, answered, 10_000);
}

test('it starts, shows itself and stops', async t => {
  const { child, socket, file, seen, ended } = start(t, {});
  await untilAnswers(socket);
  assert.deepEqual(await ask(socket, '/healthz'), { code: 200, body: '{"ready":true}\n' });
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const { epoch, ...status } = JSON.parse((await ask(socket, '/status')).body);
  assert.deepEqual(status, {
    name: 'test-1',
    role: 'test-app',
    ready: true,
    config: { sha256: sha256(readFileSync(file)) },
    metrics: { answer: 42, 'config_reloads_total.taken': 0, 'config_reloads_total.refused': 0 },
    extra: [1, 2],
  });
  assert.ok(Math.abs(epoch - Date.now() / 1000) < 60);
  assert.match((await ask(socket, '/metrics')).body, /^resplice_test_app_answer 42$/m);
  assert.equal((await ask(socket, '/else')).code, 404);
  assert.deepEqual(await ask(socket, '/echo?of=a%26b'), { code: 418, body: '{"said":"a&b"}\n' });
  const post = request({ socketPath: socket, path: '/status', method: 'POST' }).end();
  const [response] = await once(post, 'response');
  assert.equal(response.statusCode, 405);
  response.resume();

  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.equal(existsSync(socket), false);
  assert.equal(seen.err, '');
  const log = lines(seen.out);
  const starting = log.find(({ msg }) => msg === 'starting');
  assert.equal(starting.config.keyFile, keyFile);
  assert.equal(starting.config.logLevel, 'info');
  assert.ok(log.every(({ name, level }) => name === 'test-1' && level === 'info'));
  assert.ok(!seen.out.includes('abab'), 'the key was logged');
});

function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

interface Status {
  config: { sha256: string; refused?: { sha256: string | null; problems: string[] } };
  metrics: Record<string, number>;
}

suite('SIGHUP', () => {
  const status = async (socket: string) => JSON.parse((await ask(socket, '/status')).body) as Status;

  /** A running daemon, with what changes its file and waits until the daemon has an opinion of that. */
  async function running(t: TestContext) {
    const daemon = start(t, {});
    await untilAnswers(daemon.socket);
    const good = JSON.parse(readFileSync(daemon.file, 'utf8'));
    return {
      ...daemon,
      async reload(change: object | string): Promise<Status> {
        const text = typeof change === 'string' ? change : JSON.stringify({ ...good, ...change });
        writeFileSync(daemon.file, text);
        daemon.child.kill('SIGHUP');
        const judged = async () => {
          const { config } = await status(daemon.socket);
          return [config.sha256, config.refused?.sha256].includes(sha256(text));
        };
        await until('the new file is taken or refused', judged);
        return status(daemon.socket);
      },
    };
  }

  test('a changed configuration is taken over', async t => {
    const { child, reload, seen } = await running(t);
    const { config, metrics } = await reload({ answer: 7 });
    assert.equal(config.refused, undefined);
    assert.deepEqual([metrics.answer, metrics['config_reloads_total.taken']], [7, 1]);
    assert.match(seen.out, /configuration taken over/);
    assert.equal(child.exitCode, null);
  });

  test('a wrong one is refused with all problems; the former one stays, and the next good one is taken', async t => {
    const { reload, file, seen } = await running(t);
    const before = sha256(readFileSync(file));
    for (const [change, problems] of [
      [
        { answer: 'x', logLevel: 'loud' },
        [/^config: answer: must be a number/, /^config: logLevel: must be/],
      ],
      ['{', [/is not JSON/]],
      [{ name: 'test-2', answer: 8 }, [/^config: name: can only be changed by a restart$/]],
      [{ role: 'logger' }, [/^config: role: can only be changed by a restart$/]],
      [{ answer: 100 }, [/^no room for that answer$/]],
    ] as const) {
      const { config, metrics } = await reload(change);
      assert.equal(config.sha256, before);
      assert.equal(metrics.answer, 42);
      const found = [...config.refused!.problems].sort();
      assert.equal(found.length, problems.length, found.join());
      for (const [index, problem] of problems.entries()) assert.match(found[index]!, problem);
    }
    const { config, metrics } = await reload({ answer: 9 });
    assert.equal(config.refused, undefined);
    assert.deepEqual([metrics.answer, metrics['config_reloads_total.refused']], [9, 5]);
    assert.match(seen.out, /configuration refused, the former one stays/);
  });

  test('a file that is gone is refused; put back as it was, nothing is wrong any more', async t => {
    const { child, socket, file } = await running(t);
    const text = readFileSync(file);
    rmSync(file);
    child.kill('SIGHUP');
    await until('refused', async () => (await status(socket)).config.refused?.sha256 === null);
    writeFileSync(file, text);
    child.kill('SIGHUP');
    await until('no longer refused', async () => (await status(socket)).config.refused === undefined);
  });
});

test('a role in the config is shown and names the metrics', async t => {
  const { socket } = start(t, { role: 'logger' });
  await untilAnswers(socket);
  assert.equal(JSON.parse((await ask(socket, '/status')).body).role, 'logger');
  assert.match((await ask(socket, '/metrics')).body, /^resplice_logger_answer 42$/m);
});

test('not ready is 503 with the reason', async t => {
  const { socket } = start(t, { behaviour: 'unready' });
  await untilAnswers(socket, '/healthz', 503);
  await until('built', async () => (await ask(socket, '/healthz')).body.includes('a reason'));
  assert.equal((await ask(socket, '/healthz')).body, '{"ready":false,"reason":"a reason"}\n');
});

test('it can be asked over TCP too', async t => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  await new Promise(resolve => probe.close(resolve));
  const socket = join(directory, 'tcp.sock');
  start(t, { admin: { socket, address: '127.0.0.1', port } });
  await untilAnswers(socket);
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  assert.deepEqual(await response.json(), { ready: true });
});

test('a wrong config: all problems on stderr, exit 78', async t => {
  const { ended, seen } = start(t, { id: 0, behaviour: 'odd', extra: 1, name: undefined });
  assert.equal(await ended, 78);
  assert.equal(seen.out, '');
  assert.deepEqual(seen.err.trim().split('\n').sort(), [
    'config: behaviour: must be "good" or "build fails" or "throws later" or "rejects later" or "close hangs" or "unready"',
    'config: extra: unknown field',
    'config: id: must be at least 1',
    'config: name: missing',
  ]);
});

test('a wrong key: exit 78', async t => {
  const { ended, seen } = start(t, { keyFile: '/nonexistent/key' });
  assert.equal(await ended, 78);
  assert.equal(seen.err, 'config: keyFile: /nonexistent/key cannot be read: ENOENT\n');
});

test('wrong arguments: exit 64', async t => {
  for (const args of [[], ['--config'], ['--conf', 'x'], ['--config', 'x', 'y']]) {
    const { ended, seen } = start(t, {}, args);
    assert.equal(await ended, 64, args.join(' '));
    assert.match(seen.err, /^usage: /m);
  }
});

test('what fails, at once or later, is logged and ends it with 70', async t => {
  for (const [behaviour, message] of [
    ['build fails', 'cannot be built'],
    ['throws later', 'thrown later'],
    ['rejects later', 'rejected later'],
  ] as const) {
    const { ended, seen } = start(t, { behaviour });
    assert.equal(await ended, 70, behaviour);
    const fatal = lines(seen.out).find(({ level }) => level === 'fatal');
    assert.equal(fatal.err.message, message);
    assert.match(fatal.err.stack, /daemon\.ts/);
  }
});

test('a close that hangs does not keep it from ending', async t => {
  const { child, socket, seen, ended } = start(t, { behaviour: 'close hangs' });
  await untilAnswers(socket);
  await until('built', () => seen.out.includes('"started"'));
  child.kill('SIGINT');
  assert.equal(await ended, 0);
  assert.match(seen.out, /close took too long/);
});

test('the socket of a killed predecessor is replaced, that of a living one is not', async t => {
  const first = start(t, {});
  await untilAnswers(first.socket);
  const second = start(t, { admin: { socket: first.socket } });
  assert.equal(await second.ended, 70);
  assert.match(second.seen.out, /is this daemon running already/);
  assert.equal((await ask(first.socket, '/healthz')).code, 200);
  first.child.kill('SIGKILL');
  await first.ended;
  assert.equal(existsSync(first.socket), true);
  const third = start(t, { admin: { socket: first.socket } });
  await untilAnswers(first.socket);
  assert.equal(third.child.exitCode, null);
});

test('a file in the place of the socket is not removed', async t => {
  const socket = join(directory, 'precious');
  writeFileSync(socket, 'data');
  const { ended, seen } = start(t, { admin: { socket } });
  assert.equal(await ended, 70);
  assert.match(seen.out, /a file that is no socket/);
  assert.equal(existsSync(socket), true);
});
