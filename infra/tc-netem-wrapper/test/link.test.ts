/** Where links can be put, and what is left when their process dies. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { quantile } from '@resplice/figures';
import { type BetweenDevices, type BetweenHosts, type Link, type OnPort, putLink } from '../src/index.ts';
import { Namespace } from '../src/namespace.ts';
import { delays, Station, until } from './fixtures/station.ts';

const name = `tcnw${process.pid}`;
const emulator = 'tap';

/** Two stations whose devices end in a third namespace. */
class Switch {
  readonly near: Station;
  readonly far: Station;
  readonly namespace: Namespace;

  static async make(): Promise<Switch> {
    await new Namespace().batch('ip', [`netns add ${name}-switch`]);
    return new Switch(await Station.make(`${name}-a`, 1), await Station.make(`${name}-b`, 2));
  }

  private constructor(near: Station, far: Station) {
    this.near = near;
    this.far = far;
    this.namespace = new Namespace(`/run/netns/${name}-switch`);
  }

  async plugIn(): Promise<void> {
    for (const [station, port] of [
      [this.near, 'p1'],
      [this.far, 'p2'],
    ] as const) {
      await station.namespace.batch('ip', [`link add e0 type veth peer name ${port} netns ${name}-switch`]);
    }
    await this.namespace.batch('ip', ['link set p1 up', 'link set p2 up']);
    await this.near.plugIn('e0', this.far);
    await this.far.plugIn('e0', this.near);
  }

  async unplug(): Promise<void> {
    for (const station of [this.near, this.far]) await station.namespace.batch('ip', ['link del e0']);
  }

  /** Its devices but the loopback and the two ports. */
  async others(): Promise<string[]> {
    const listed = JSON.parse(await this.namespace.run('ip', ['-j', 'link', 'show'])) as { ifname: string }[];
    return listed.map(each => each.ifname).filter(each => !['lo', 'p1', 'p2'].includes(each));
  }

  async masters(): Promise<(string | undefined)[]> {
    const listed = JSON.parse(await this.namespace.run('ip', ['-j', 'link', 'show'])) as {
      ifname: string;
      master?: string;
    }[];
    return ['p1', 'p2'].map(port => listed.find(each => each.ifname === port)?.master);
  }

  /** @returns the one-way delays of what gets through of ten datagrams */
  async through(): Promise<number[]> {
    await this.far.forget();
    await this.near.send({ to: this.far.address, count: 10, bytes: 100, gapMs: 1 });
    // Nothing tells that nothing comes: what does come follows the tenth of a second that delays take here.
    await until('the datagrams, or silence', async () => (await this.far.arrivals()).length >= 10, 500).catch(
      () => {},
    );
    return delays(await this.far.arrivals());
  }

  async remove(): Promise<void> {
    await this.near.remove();
    await this.far.remove();
    await new Namespace().batch('ip', [`netns del ${name}-switch`]);
  }
}

const holder = fileURLToPath(new URL('fixtures/link-holder.ts', import.meta.url));

/** Another process that puts a link; resolves when it stands. */
async function hold(options: BetweenDevices | BetweenHosts | OnPort): Promise<ChildProcess> {
  const child = spawn(process.execPath, [holder, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'exit').then(() => ['it has exited']),
  ]);
  assert.equal(String(said), 'the link stands\n');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

suite('a link', { timeout: 120_000 }, () => {
  let hub: Switch;
  let namespace: string;
  before(async () => {
    hub = await Switch.make();
    await hub.plugIn();
    namespace = hub.namespace.path!;
  });
  after(() => hub?.remove());

  test('joins two devices of a namespace, and leaves them as they were', async () => {
    assert.deepEqual(await hub.through(), []);
    const link = await putLink({ namespace, near: 'p1', far: 'p2', shape: { delay: 40 }, emulator });
    assert.deepEqual([link.emulator, link.shape.there.delay], ['tap', 40]);
    const passed = await hub.through();
    assert.equal(passed.length, 10);
    assert.ok(quantile(passed, 0) >= 39.7, `${passed}`);
    await link.remove();
    assert.deepEqual(await hub.others(), []);
    assert.deepEqual(await hub.masters(), [undefined, undefined]);
  });

  test("stands on a bridge's port, and gives it back", async () => {
    await hub.namespace.batch('ip', [
      'link add hub0 type bridge stp_state 0 mcast_snooping 0',
      'link set hub0 up',
      ...['p1', 'p2'].map(port => `link set ${port} master hub0`),
    ]);
    const link = await putLink({
      namespace,
      port: 'p1',
      shape: { there: { delay: 30 }, back: {} },
      emulator,
    });
    const passed = await hub.through();
    assert.equal(passed.length, 10);
    assert.ok(quantile(passed, 0) >= 29.7, `${passed}`);
    // A packet arrives before it is counted.
    await until('all to be counted', async () => (await link.counters()).there.delivered === 10);
    await link.remove();
    assert.deepEqual(await hub.masters(), ['hub0', 'hub0']);
    assert.deepEqual(await hub.others(), ['hub0']);
    assert.equal((await hub.through()).length, 10);
  });

  test('on a port whose process was killed is dead; put there again it works, and gives the port back', async () => {
    const options = { namespace, port: 'p1', shape: { delay: 1 }, emulator } as const;
    const child = await hold(options);
    assert.equal((await hub.through()).length, 10);
    await kill(child);
    assert.deepEqual(await hub.through(), []);
    const again = await putLink(options);
    assert.equal((await hub.through()).length, 10);
    await again.remove();
    assert.deepEqual(await hub.masters(), ['hub0', 'hub0']);
    await hub.namespace.batch('ip', ['link del hub0']);
  });

  test('between devices whose process was killed is dead; put there again it works', async () => {
    const options = { namespace, near: 'p1', far: 'p2', shape: { delay: 1 }, emulator } as const;
    await kill(await hold(options));
    assert.deepEqual(await hub.through(), []);
    const again = await putLink(options);
    assert.equal((await hub.through()).length, 10);
    await again.remove();
    assert.deepEqual(await hub.others(), []);
  });

  test('whose device is taken away says that it has died, and can still be removed', async () => {
    const link = await putLink({ namespace, near: 'p1', far: 'p2', shape: {}, emulator, tag: 'doomed' });
    const death = assert.rejects(link.died, { message: /^the link's emulator has died$/ });
    await hub.namespace.batch('ip', ['link del doomed-a']);
    await death;
    assert.deepEqual(await hub.through(), []);
    await link.remove();
    assert.deepEqual(await hub.others(), []);
  });

  test('between hosts vanishes from both when its process is killed', async () => {
    await hub.unplug();
    const ends = [hub.near, hub.far].map(each => ({ namespace: each.namespace.path!, device: 'e0' }));
    const [near, far] = ends as [BetweenHosts['near'], BetweenHosts['far']];
    const child = await hold({ near, far, shape: { delay: 5 }, emulator });
    assert.deepEqual([await hub.near.devices(), await hub.far.devices()], [['e0'], ['e0']]);
    await kill(child);
    await until('the devices to vanish', async () => {
      return (await hub.near.devices()).length + (await hub.far.devices()).length === 0;
    });
    await hub.plugIn();
  });

  test('that cannot be put leaves nothing', async () => {
    const devices = { namespace, near: 'p1', far: 'p2', emulator } as const;
    await assert.rejects(putLink({ ...devices, shape: { loss: 200 } }), {
      message: 'loss: must be within 0…100 %',
    });
    await assert.rejects(putLink({ ...devices, far: 'p9', shape: {} }), /p9/);
    await assert.rejects(putLink({ ...devices, shape: {}, seed: 0 }), /seed: must be a whole number/);
    await assert.rejects(putLink({ ...devices, shape: {}, tag: 'much-too-long' }), /tag: must be/);
    await assert.rejects(
      putLink({ namespace, port: 'p1', shape: {}, emulator }),
      /p1: is no port of a bridge/,
    );
    assert.deepEqual(await hub.others(), []);
    assert.deepEqual(await hub.masters(), [undefined, undefined]);
  });

  test('loses the same packets with the same seed', async () => {
    const lost = async (seed: number): Promise<number[]> => {
      const link: Link = await putLink({
        namespace,
        near: 'p1',
        far: 'p2',
        shape: { loss: 40 },
        emulator,
        seed,
      });
      assert.equal(link.seed, seed);
      await hub.far.forget();
      await hub.near.send({ to: hub.far.address, count: 200, bytes: 100, gapMs: 0.2 });
      await until('all packets to be counted', async () => (await link.counters()).there.offered === 200);
      const { delivered } = (await link.counters()).there;
      await until('the rest to arrive', async () => (await hub.far.arrivals()).length === delivered);
      await link.remove();
      return (await hub.far.arrivals()).map(each => each.number);
    };
    const first = await lost(11);
    assert.deepEqual(await lost(11), first);
    assert.notDeepEqual(await lost(12), first);
  });
});
