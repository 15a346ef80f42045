/** The lab as containers: `./resplice` works on it as on the other one. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { lackOfEngine } from './fixtures/compose.ts';
import { resplice as run } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const skip = lackOfEngine();
if (skip) console.log(`the compose engine is not tried: ${skip}`);

/** @throws Error with what it said, unless it passes */
async function resplice(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args, { deadlineMs: 300_000 });
  if (code !== 0) throw new Error(`./resplice ${args.join(' ')}: exit ${code}\n${stderr}`);
  return stdout;
}

suite('./resplice up --engine compose', { skip, timeout: 600_000 }, () => {
  interface Shown {
    readonly engine: string;
    readonly vip: { readonly url: string };
    readonly components: readonly { readonly name: string; readonly state: string }[];
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
    for (const name of [proxy, backend, next.backend]) assert.equal(await stateOf(name), 'up', name);
    const known = await resplice('exec', 'client-1', '--', 'curl', '-fsS', `${url}100mb.sha256`);
    assert.equal((await loading).split(' ')[0], known.split(' ')[0]);
  });

  test('what containers cannot do is refused in a sentence', async () => {
    await assert.rejects(resplice('fault', 'isolate', 'proxy-1', '--from', 'proxy-2'), /does not isolate/);
    await assert.rejects(resplice('up', '--engine', 'compose'), /a lab is up already/);
  });
});
