/** The lab as containers: `./resplice` works on it as on the other one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Person } from '../apps/webmail/testing/person.ts';
import { output } from './fixtures/command.ts';
import { lackOfEngine } from './fixtures/compose.ts';
import { resplice as run } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const skip = lackOfEngine();
if (skip) console.log(`the compose engine is not tried: ${skip}`);

/** Kills it as soon as it has said that. */
async function killedAt(words: string, ...args: string[]): Promise<void> {
  const child = spawn('./resplice', args, {
    cwd: join(import.meta.dirname, '..'),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text;
    if (said.includes(words)) child.kill('SIGKILL');
  });
  const [, signal] = await ended;
  assert.equal(signal, 'SIGKILL', `it ended before it said "${words}":\n${said}`);
}

/** @throws Error with what it said, unless it passes */
async function resplice(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args, { deadlineMs: 300_000 });
  if (code !== 0) throw new Error(`./resplice ${args.join(' ')}: exit ${code}\n${stderr}`);
  return stdout;
}

suite('./resplice up --engine compose', { skip, timeout: 900_000 }, () => {
  interface Shown {
    readonly engine: string;
    readonly vip: { readonly url: string; readonly address: string };
    readonly components: readonly {
      readonly name: string;
      readonly state: string;
      readonly processes: object;
      readonly faults: readonly object[];
    }[];
    readonly connections: readonly {
      readonly proxy: string;
      readonly backend: string;
      readonly failovers: number;
    }[];
  }

  const status = async () => JSON.parse(await resplice('status', '--json')) as Shown;
  const stateOf = async (name: string) => (await status()).components.find(each => each.name === name)!.state;

  before(async () => {
    await resplice('down');
    await resplice('up', '--engine', 'compose', '--detach', '--site', 'demo', '--backends', '3');
  });

  after(() => resplice('down'));

  test('status shows every component, and exec runs in its place', async () => {
    const { engine, vip, components } = await waitFor('every component to be up', 10_000, async () => {
      const found = await status();
      return found.components.every(({ state }) => state === 'up') ? found : undefined;
    });
    assert.equal(engine, 'compose');
    assert.deepEqual(
      components.map(({ name }) => name),
      ['client-1', 'lb-1', 'proxy-1', 'proxy-2', 'logger-1', 'backend-1', 'backend-2', 'backend-3'],
    );
    const page = await resplice('exec', 'client-1', '--', 'curl', '-fsS', vip.url);
    assert.match(page, /<html/i);
  });

  test('a download goes on through a crash, a freeze and a cut, each healed', async () => {
    const { url } = (await status()).vip;
    const slow = ['curl', '-fsS', '--limit-rate', '1M', `${url}100mb.bin`];
    const loading = resplice('exec', 'client-1', '--', 'sh', '-c', `${slow.join(' ')} | sha256sum`);
    /** Who carries it now; never those that were named. */
    const carrierBut = (...gone: string[]) =>
      waitFor(`another carrier than ${gone.join(', ')}`, 20_000, async () => {
        const [found] = (await status()).connections;
        if (!found?.backend || gone.includes(found.backend)) throw new Error(JSON.stringify(found));
        return found;
      });
    const { backend, proxy } = await carrierBut();
    await resplice('fault', 'crash', proxy);
    assert.equal(await stateOf(proxy), 'down');
    await resplice('fault', 'freeze', backend);
    const next = await carrierBut(backend);
    await resplice('fault', 'cut', next.backend);
    await carrierBut(backend, next.backend);
    await resplice('fault', 'heal');
    for (const name of [proxy, backend, next.backend])
      await waitFor(`${name} to be up`, 10_000, async () => (await stateOf(name)) === 'up');
    const known = await resplice('exec', 'client-1', '--', 'curl', '-fsS', `${url}100mb.sha256`);
    assert.equal((await loading).split(' ')[0], known.split(' ')[0]);
  });

  /** A slow download on one connection that must be whole, whatever is done meanwhile. */
  async function during(work: () => Promise<void>): Promise<void> {
    const { url } = (await status()).vip;
    const fetched = `curl -fsS --limit-rate 1M ${url}100mb.bin | sha256sum`;
    const loading = resplice('exec', 'client-1', '--', 'sh', '-c', fetched);
    const [, known] = await Promise.all([
      work(),
      resplice('exec', 'client-1', '--', 'curl', '-fsS', `${url}100mb.sha256`),
    ]);
    assert.equal((await loading).split(' ')[0], known.split(' ')[0]);
  }

  test('a back end and a proxy are drained under a connection’s requests, stay out, and come back', async () => {
    const { url } = (await status()).vip;
    const asked = [
      '--rate',
      '1/s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{num_connects} %{size_download}\\n',
    ];
    const work = resplice('exec', 'client-1', '--', 'curl', '-fsS', ...asked, `${url}bytes/1000000?[1-60]`);
    const now = () => waitFor('the connection', 10_000, async () => (await status()).connections[0]);
    const { backend, proxy } = await now();
    for (const target of [backend, proxy]) {
      const { emptyAt } = JSON.parse(await resplice('drain', target, '--deadline', '60')) as {
        emptyAt: number | null;
      };
      assert.ok(emptyAt !== null, `${target} is not empty`);
      const next = await now();
      assert.ok(next.backend !== target && next.proxy !== target, JSON.stringify(next));
      assert.equal(await stateOf(target), 'draining');
    }
    await assert.rejects(resplice('fault', 'restart', 'lb-1'), /drained; first: .\/resplice fault heal/);
    const lines = (await work).trim().split('\n');
    assert.deepEqual([...new Set(lines)].sort(), ['200 0 1000000', '200 1 1000000']);
    assert.equal(lines.filter(line => line === '200 1 1000000').length, 1, 'one connection');
    assert.equal(lines.length, 60);
    await resplice('fault', 'heal');
    for (const target of [backend, proxy]) assert.equal(await stateOf(target), 'up');
  });

  test('another resplice.yaml is followed without a restart', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-site-'));
    const file = join(directory, 'resplice.yaml');
    const served = async (port: number) => {
      const { address } = (await status()).vip;
      const asked = ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', `http://${address}:${port}/`];
      return resplice('exec', 'client-1', '--', ...asked);
    };
    const pids = async () => (await status()).components.map(({ processes }) => processes);
    try {
      const before = await pids();
      writeFileSync(
        file,
        'listeners:\n  - { name: web, port: 80, pool: all }\n  - { name: more, port: 8081, pool: all }\npools:\n  all: { backends: all }\n',
      );
      await resplice('reload', file);
      assert.deepEqual([await served(80), await served(8081)], ['200', '200']);
      assert.deepEqual(await pids(), before);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('two components that are isolated hear each other no more, until that is healed', async () => {
    const heard = async (from: string, address: string): Promise<boolean> => {
      const dial = `timeout 2 bash -c 'exec 3<>/dev/tcp/${address}/9' 2>&1`;
      const argv = ['exec', from, '--', 'bash', '-c', dial];
      const { stdout } = await run(argv, { deadlineMs: 60_000 });
      // Whoever hears it refuses: nothing listens there.
      return /refused/.test(stdout);
    };
    assert.deepEqual(
      [await heard('proxy-1', '10.63.0.12'), await heard('proxy-1', '10.63.0.1')],
      [true, true],
    );
    await resplice('fault', 'isolate', 'proxy-1', '--from', 'proxy-2');
    assert.deepEqual(
      [await heard('proxy-1', '10.63.0.12'), await heard('proxy-1', '10.63.0.1')],
      [false, true],
    );
    assert.deepEqual((await status()).components.find(({ name }) => name === 'proxy-1')!.faults, [
      { kind: 'isolate', target: 'proxy-1', from: 'proxy-2' },
    ]);
    await resplice('fault', 'heal', 'proxy-1');
    assert.equal(await heard('proxy-1', '10.63.0.12'), true);
  });

  test('a proxy stops itself at a point of a set-up, another one goes on, and healing has it go on as well', async () => {
    await resplice('fault', 'freeze', 'proxy-1', '--at', 'before-delivery');
    const { url } = (await status()).vip;
    await waitFor('proxy-1 to stop', 30_000, async () => {
      await resplice('exec', 'client-1', '--', 'curl', '-fsS', '-o', '/dev/null', '--max-time', '20', url);
      return (await stateOf('proxy-1')) === 'degraded';
    });
    await resplice('fault', 'heal', 'proxy-1');
    assert.equal(await stateOf('proxy-1'), 'up');
  });

  test('logs are those of the containers', async () => {
    assert.match(await resplice('logs', 'proxy-1'), /"configuration taken over"/);
    const all = await resplice('logs');
    for (const name of ['lb-1/lb', 'backend-3/demo']) assert.ok(all.includes(`${name} | `), name);
  });

  test('there are more, and fewer, under a download, and nothing is made anew that stays', async () => {
    const containers = async () =>
      (await output(['docker', 'ps', '--no-trunc', '--format', '{{.Names}} {{.ID}}'])).trim().split('\n');
    const numbers = (proxies: number, backends: number) => [
      ...['up', '--engine', 'compose', '--detach', '--site', 'demo'],
      ...['--proxies', String(proxies), '--backends', String(backends)],
    ];
    const up = (proxies: number, backends: number) => resplice(...numbers(proxies, backends));
    const before = await containers();
    await during(async () => {
      await waitFor('the download', 10_000, async () => (await status()).connections[0]);
      await killedAt('logger-1/logger learns', ...numbers(3, 4));
      await up(3, 4);
      const more = await containers();
      assert.deepEqual(
        before.filter(each => !more.includes(each)),
        [],
        'all that was there is there',
      );
      for (const name of ['proxy-3', 'backend-4']) assert.equal(await stateOf(name), 'up');
      // Whatever it is that has the connection goes.
      await up(2, 2);
      assert.deepEqual(
        (await containers()).filter(each => !before.includes(each)),
        [],
      );
    });
    assert.deepEqual(
      (await status()).components.map(({ name }) => name).filter(name => /^(proxy|backend)/.test(name)),
      ['proxy-1', 'proxy-2', 'backend-1', 'backend-2'],
    );
  });

  test('what containers cannot do is refused in a sentence', async () => {
    await assert.rejects(resplice('up', '--engine', 'compose', '--site', 'demo'), /a lab is up already/);
    await assert.rejects(resplice('up', '--engine', 'compose', '--link', '66ms'), /does not emulate links/);
    await assert.rejects(resplice('user', 'add', 'dora'), /serves no webmail/);
  });
});

suite('./resplice up --engine compose with the webmail', { skip, timeout: 300_000 }, () => {
  before(() => resplice('up', '--engine', 'compose', '--detach'));
  after(() => resplice('down'));

  test('accounts are added by name and password, once', async () => {
    const add = () =>
      run(['user', 'add', 'dora', '--name', 'Dora Quint'], { input: 'correct horse battery\n' });
    const [first, second] = [await add(), await add()];
    assert.match(first.stderr, /dora@resplice\.example can log in/);
    assert.equal(second.code, 64);
    assert.match(second.stderr, /dora@resplice\.example exists already; nothing was changed/);
  });

  test('other numbers of back ends under somebody who is logged in: kits learn of each other, and of sessions', async () => {
    const up = (backends: number) =>
      resplice('up', '--engine', 'compose', '--detach', '--backends', String(backends));
    /** As each back end's kit has it. */
    const sessions = async () => {
      const { webmail } = JSON.parse(await resplice('status', '--json')) as {
        webmail: { kits: { backend: string; degraded: boolean; sessions: { live: number } }[] };
      };
      return webmail.kits.map(({ backend, degraded, sessions: { live } }) => [backend, degraded, live]);
    };
    const person = await Person.loggedIn('http://localhost:8080', 'ada');
    const isLoggedIn = async () => assert.match((await person.get('/mail/inbox')).url, /\/mail\/inbox$/);
    await isLoggedIn();
    await up(3);
    await isLoggedIn();
    assert.deepEqual(
      await sessions(),
      ['backend-1', 'backend-2', 'backend-3'].map(name => [name, false, 1]),
    );
    const send = async (subject: string) => {
      const { url } = await person.send({ recipients: 'ben@resplice.example', subject, body: 'Hello' });
      assert.match(url, /\/mail\/sent/);
    };
    await send('On three');
    await up(2);
    await isLoggedIn();
    assert.deepEqual(
      await sessions(),
      ['backend-1', 'backend-2'].map(name => [name, false, 1]),
    );
    await send('On two');
    const ben = await Person.loggedIn('http://localhost:8080', 'ben');
    const { text } = await ben.get('/mail/inbox');
    for (const subject of ['On three', 'On two'])
      assert.equal(text.split(`>${subject}<`).length - 1, 1, subject);
  });
});
