/** The deployment of docker-compose.yml: healthy, a page, and downloads whose machines are killed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { run } from './fixtures/command.ts';
import { ComposeProject, lackOfEngine, type ProxyConnection } from './fixtures/compose.ts';
import { waitFor } from './fixtures/wait.ts';

const skip = lackOfEngine();
if (skip) console.log(`docker-compose.yml is not tried: ${skip}`);

const project = new ComposeProject('demo');

interface Download {
  readonly bytes: number;
  readonly sha256: string;
}

/** Slow enough for what happens meanwhile; one connection, never a second try. */
async function download(url: string, megabytesPerSecond = 8): Promise<Download> {
  const response = await fetch(`${url}/100mb.bin`);
  const hash = createHash('sha256');
  let bytes = 0;
  const started = performance.now();
  for await (const chunk of response.body!) {
    hash.update(chunk);
    bytes += chunk.length;
    const due = bytes / (megabytesPerSecond * 1000) - (performance.now() - started);
    if (due > 20) await new Promise(resolve => setTimeout(resolve, due));
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function known(url: string): Promise<string> {
  return (await (await fetch(`${url}/100mb.sha256`)).text()).split(' ', 1)[0]!;
}

async function whole(url: string, loading: Promise<Download>): Promise<void> {
  assert.deepEqual(await loading, { bytes: 100_000_000, sha256: await known(url) });
}

async function carrier(of: string): Promise<string> {
  const connections = (await project.status(of)).connections as ProxyConnection[];
  return connections[0]!.owner;
}

/** Who carries the one connection now; never the one that was named. */
function carrierBut(gone?: string): Promise<string> {
  return waitFor(`another carrier than ${gone ?? 'nobody'}`, 20_000, async () => {
    const found = await project.connection();
    if (!found?.backend || found.backend === gone) throw new Error(JSON.stringify(found));
    return found.backend;
  });
}

suite('docker compose', { skip, timeout: 600_000 }, () => {
  let url = '';

  before(async () => {
    await project.down();
    await project.compose('build', '--quiet');
    const ms = await project.up();
    console.log(`healthy after ${(ms / 1000).toFixed(1)} s`);
    url = await project.url();
  });

  after(() => project.down());

  test('a page comes through the published port', async () => {
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /<html/i);
  });

  test('a proxy that is killed in mid-download goes unnoticed, and comes back', async () => {
    const loading = download(url);
    const first = await waitFor('a download under way', 5000, () => carrier('proxy-1'));
    await project.kill(first);
    await whole(url, loading);
    await project.up();
    await waitFor('both proxies in the table', 10_000, async () => {
      const { live } = (await project.status('lb-1')).table as { live: string[] };
      return live.length === 2;
    });
  });

  test('a back end whose application is killed, and one that is killed as a whole, go unnoticed', async () => {
    // Slow: a back end is started again while it goes on.
    const loading = download(url, 2);
    const first = await carrierBut();
    await project.kill(`${first}-demo`);
    await carrierBut(first);
    await project.up();
    // On a busy machine it may have been moved once more meanwhile.
    const second = await carrierBut();
    await project.kill(second, `${second}-agent`, `${second}-demo`);
    await carrierBut(second);
    await whole(url, loading);
    await project.up();
  });

  test('a network that is taken away and given back is used again', async () => {
    await project.unplug('proxy-1', 'front');
    const live = async () => ((await project.status('lb-1')).table as { live: string[] }).live;
    await waitFor('the balancer to turn away', 5000, async () => !(await live()).includes('proxy-1'));
    await whole(url, download(url));
    await project.plugIn('proxy-1', 'front', '10.62.0.11');
    await waitFor('the balancer to come back', 10_000, async () => (await live()).includes('proxy-1'));
    await project.kill('proxy-2');
    await whole(url, download(url));
    await project.up();
  });

  test('the client beside the tier reaches it, and sees the same page', async () => {
    await project.compose('--profile', 'drill', 'up', '--detach', '--wait', 'client-1');
    const page = await project.compose('exec', '-T', 'client-1', 'curl', '-fsS', 'http://10.61.0.1/');
    assert.equal(page, await (await fetch(url)).text());
  });

  test('a daemon with a kernel half can do without none of its rights', async () => {
    for (const capability of ['BPF', 'NET_ADMIN', 'NET_RAW', 'PERFMON']) {
      assert.equal(await project.without('proxy-2', capability), 'exited', capability);
    }
    await project.up();
  });

  test('nothing in the image is a compiler, or a key', async () => {
    const image = 'resplice-tier:latest';
    const looked = await run(
      ['docker', 'run', '--rm', '--network', 'none', '--entrypoint', 'sh', image].concat([
        '-c',
        'command -v gcc clang cc make; find /run/keys -type f',
      ]),
    );
    assert.equal(looked.stdout, '');
  });
});

suite('docker compose with the webmail', { skip, timeout: 300_000 }, () => {
  const mail = new ComposeProject('webmail');
  let at = '';

  before(async () => {
    await mail.down();
    await mail.compose('build', '--quiet');
    console.log(`the webmail is healthy after ${((await mail.up()) / 1000).toFixed(1)} s`);
    at = await mail.url();
    const program = ['node', '/resplice/infra/compose/src/main.ts', 'demo-accounts'];
    await mail.compose('exec', '-T', 'smtp-1', ...program);
  });

  after(() => mail.down());

  test('whoever has logged in stays so, whichever back end is killed', async () => {
    const form = { next: '/mail/inbox', address: 'ada@resplice.example', password: 'never a dropped byte' };
    const entered = await fetch(`${at}/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: at },
      body: new URLSearchParams(form),
    });
    assert.equal(entered.status, 303);
    const cookie = entered.headers
      .getSetCookie()
      .map(each => each.split(';', 1)[0])
      .join('; ');
    const inbox = async () => (await fetch(`${at}/mail/inbox`, { headers: { cookie } })).text();
    assert.match(await inbox(), /ada@resplice\.example/);
    for (const backend of ['backend-1', 'backend-2']) {
      await mail.kill(backend, `${backend}-agent`, `${backend}-webmail`);
      assert.match(await inbox(), /ada@resplice\.example/, `without ${backend}`);
      await mail.up();
    }
  });

  test('no application sees the cluster key, or runs as root', async () => {
    const looked = await mail.compose('exec', '-T', 'backend-1-webmail', 'sh', '-c', 'id -u; ls /run/keys');
    assert.equal(looked, '1000\nkit\nwebmail\n');
  });
});
