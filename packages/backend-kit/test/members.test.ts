/** Back ends that come and go for good while others run: who stays hears of it, and loses nothing. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { type KitConfig, KitConfigError, watchKitConfig } from '../src/config.ts';
import { Tier } from '../testing/index.ts';
import { application, World } from './application.ts';

suite('other members', () => {
  let tier: Tier;
  let world: World;
  beforeEach(async () => {
    world = new World();
    tier = await Tier.start(2, application(world));
  });
  afterEach(async () => await tier?.close());

  async function login(i: number): Promise<Record<string, string>> {
    const answer = await (await tier.client(i)).ask('POST', '/login?user=ada');
    return { Cookie: answer.all('set-cookie')[0]!.split(';')[0]! };
  }

  async function userAt(i: number, cookie: Record<string, string>): Promise<string | null> {
    return JSON.parse((await (await tier.client(i)).ask('GET', '/whoami', cookie)).text).user;
  }

  const peersOf = (i: number) => tier.kit(i).status.peers.map(({ name, up }) => `${name} ${up}`);

  test('a new one knows the sessions that there are, and is told of those that begin', async () => {
    const before = await login(1);
    await tier.resize(3);
    await tier.joined();
    assert.deepEqual(peersOf(1), ['backend-2 true', 'backend-3 true']);
    assert.equal(await userAt(3, before), 'ada');
    const after = await login(2);
    assert.equal(await userAt(3, after), 'ada');
    assert.equal(await userAt(1, await login(3)), 'ada');
  });

  test('a new one keeps records, and goes on with what a former one had', async () => {
    await tier.resize(3);
    await tier.joined();
    const connection = tier.connection();
    const answer = await (await tier.client(2, connection)).ask('POST', '/response/json');
    assert.equal(tier.kit(3).status.journals.held, 1, 'the next one after backend-2');
    await tier.crash(2);
    const again = await tier.takeOver(3, connection, { from: 'backend-2' });
    assert.equal((await again.ask('POST', '/response/json')).text, answer.text);
    assert.equal(world.effects.size, 1);
  });

  test('of one that has left for good nothing is expected: its records are with others, and it is refused', async () => {
    await tier.resize(3);
    await tier.joined();
    const connection = tier.connection();
    const answer = await (await tier.client(2, connection)).ask('POST', '/response/json');
    const cookie = await login(3);
    const effects = world.effects.size;
    await tier.resize(2);
    assert.deepEqual(peersOf(1), ['backend-2 true']);
    await until('the record to be elsewhere', () => tier.kit(1).status.journals.held === 1);
    assert.equal(await userAt(1, cookie), 'ada');
    await tier.crash(2);
    const again = await tier.takeOver(1, connection, { from: 'backend-2' });
    assert.equal((await again.ask('POST', '/response/json')).text, answer.text);
    assert.equal(world.effects.size, effects, 'nothing has run again');
  });

  test('it cannot become another one, nor listen elsewhere', () => {
    const kit = tier.kit(1);
    const { config } = kit;
    for (const change of [{ self: 'backend-2' }, { listen: { ...config.listen, port: 7 } }])
      assert.throws(() => kit.follow({ ...config, members: [], ...change }), KitConfigError);
    assert.equal(kit.config, config);
    assert.deepEqual(peersOf(1), ['backend-2 true']);
  });
});

suite('the file of a kit', () => {
  test('is read again when it changes or another one takes its place; one that is wrong is told of', async t => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-kit-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const [file, keyFile] = [join(directory, 'kit.json'), join(directory, 'key')];
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const address = (i: number) => ({ name: `backend-${i}`, address: `10.64.0.1${i}`, port: 7002 });
    const text = (count: number) =>
      JSON.stringify({
        ...{ self: 'backend-1', listen: { address: '10.64.0.11', port: 7002 }, keyFile },
        members: Array.from({ length: count }, (_, i) => address(i + 1)),
      });
    writeFileSync(file, text(2));
    const seen: KitConfig[] = [];
    const problems: Error[] = [];
    const stop = watchKitConfig(
      { RESPLICE_KIT: file },
      config => seen.push(config),
      problem => problems.push(problem),
    );
    t.after(stop);
    writeFileSync(`${file}.next`, text(3));
    renameSync(`${file}.next`, file);
    await until('the new one', () => seen.at(-1)?.members.length === 3);
    writeFileSync(file, text(4));
    await until('the changed one', () => seen.at(-1)?.members.length === 4);
    writeFileSync(file, '{');
    await until('the wrong one', () => problems.length === 1);
    assert.ok(problems[0] instanceof KitConfigError);
    watchKitConfig(
      { RESPLICE_KIT: join(directory, 'nowhere', 'kit.json') },
      () => assert.fail('there is none'),
      problem => problems.push(problem),
    )();
    assert.match(problems[1]!.message, /ENOENT/);
    const count = seen.length;
    stop();
    writeFileSync(file, text(2));
    await new Promise(resolve => setTimeout(resolve, 300));
    assert.equal(seen.length, count);
  });
});
