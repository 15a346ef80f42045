import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { command } from '../src/command.ts';
import { netnsPathOf } from '../src/place.ts';
import { isAlive, isDead, livingProcesses, processEntry } from '../src/process-table.ts';
import { componentOf, remains, testEngine, testPlace } from './fixtures/test-lab.ts';

const place = testPlace('freeze');
const engine = testEngine(place);
const component = (name: string) => componentOf(engine, name);

/** What a client makes of backend-1's site: does its kernel accept the connection, and does the site answer? */
async function site(): Promise<{ accepted: boolean; answered: boolean }> {
  const curl = ['curl', '-s', '-o', '/dev/null', '-w', '%{time_connect}', '--max-time', '0.7'];
  const { code, stdout } = await command(
    'nsenter',
    [`--net=${netnsPathOf(place, 'proxy-1')}`, '--', ...curl, 'http://10.64.0.11:8080/'],
    { anyExit: true },
  );
  return { accepted: Number(stdout) > 0, answered: code === 0 };
}

function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map(
    thread => /\) (\S)/.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'))![1]!,
  );
}

function running(pid: number): boolean {
  const entry = processEntry(pid);
  return entry !== undefined && !isDead(entry);
}

suite('freezing', { timeout: 120_000 }, () => {
  before(async () => {
    await engine.down();
    await engine.up({ proxies: 1, backends: 2, backendCommand: null });
  });
  after(() => engine.down());

  test('a frozen process does not answer, its kernel does; thawed it goes on', async () => {
    const { processes } = await component('backend-1');
    const { at, ...report } = await engine.freeze('backend-1/demo');
    assert.deepEqual(report, { kind: 'freeze', target: 'backend-1/demo' });
    assert.ok(Math.abs(Date.now() - at) < 1000);
    await engine.freeze('backend-1/demo');
    assert.deepEqual(await site(), { accepted: true, answered: false });
    const during = await component('backend-1');
    assert.equal(during.state, 'degraded');
    assert.deepEqual(during.faults, [{ kind: 'freeze', target: 'backend-1/demo' }]);
    assert.deepEqual(during.processes, processes);
    assert.equal(during.metrics.pid, processes.agent, 'its neighbour answers');
    await engine.heal('backend-1/demo');
    assert.deepEqual(await site(), { accepted: true, answered: true });
    const after = await component('backend-1');
    assert.deepEqual([after.state, after.faults, after.processes], ['up', [], processes]);
  });

  test('a frozen component stands still in all its threads, whoever started them; heal thaws them', async () => {
    const { processes } = await component('backend-1');
    const stranger = command('nsenter', [`--net=${netnsPathOf(place, 'backend-1')}`, '--', 'sleep', '600'], {
      anyExit: true,
    });
    const sleeper = () =>
      livingProcesses().find(each => each.name === 'sleep' && each.parent === process.pid);
    const started = performance.now();
    await engine.freeze('backend-1');
    const tookMs = performance.now() - started;
    assert.ok(tookMs < 500, `${tookMs} ms`);
    for (const pid of Object.values(processes)) {
      const states = threadStates(pid);
      assert.ok(states.length > 1 && states.every(state => state === 'T'), states.join());
    }
    assert.equal(sleeper()?.state, 'T');
    assert.deepEqual(await site(), { accepted: true, answered: false });
    const asked = performance.now();
    const during = await component('backend-1');
    assert.ok(performance.now() - asked < 500, 'nobody waits for the frozen');
    assert.deepEqual([during.state, during.processes], ['degraded', processes]);
    assert.equal((await component('backend-2')).state, 'up');
    await engine.heal();
    assert.deepEqual((await component('backend-1')).processes, processes);
    assert.equal(sleeper()?.state, 'S');
    process.kill(sleeper()!.pid, 'SIGKILL');
    await stranger;
    assert.deepEqual(await site(), { accepted: true, answered: true });
  });

  test('a process stays frozen with its component, though it is healed itself', async () => {
    const { processes } = await component('backend-1');
    await engine.freeze('backend-1/demo');
    await engine.freeze('backend-1');
    await engine.heal('backend-1/demo');
    assert.equal(processEntry(processes.demo!)?.state, 'T');
    assert.deepEqual((await component('backend-1')).faults, [{ kind: 'freeze', target: 'backend-1' }]);
    await engine.heal('backend-1');
    assert.deepEqual(await site(), { accepted: true, answered: true });
  });

  test('crash kills the frozen, and nobody is left to thaw', async () => {
    const { processes } = await component('backend-1');
    await engine.freeze('backend-1');
    await engine.crash('backend-1/demo');
    assert.equal(running(processes.demo!), false);
    assert.equal(processEntry(processes.agent!)?.state, 'T');
    await engine.crash('backend-1');
    assert.equal(running(processes.agent!), false);
    const during = await component('backend-1');
    assert.equal(during.state, 'down');
    assert.deepEqual(
      during.faults.map(({ kind, target }) => `${kind} ${target}`),
      ['crash backend-1/demo', 'crash backend-1'],
    );
    await engine.heal('backend-1');
    assert.deepEqual(await site(), { accepted: true, answered: true });
  });

  test('restart of the frozen starts them anew', async () => {
    const { processes } = await component('backend-1');
    await engine.freeze('backend-1/demo');
    await engine.restart('backend-1/demo');
    const after = await component('backend-1');
    assert.deepEqual([after.state, after.faults], ['up', []]);
    assert.equal(after.processes.agent, processes.agent);
    assert.notEqual(after.processes.demo, processes.demo);
    await engine.freeze('proxy-1');
    await engine.restart('proxy-1');
    assert.deepEqual((await component('proxy-1')).state, 'up');
    assert.deepEqual(await site(), { accepted: true, answered: true });
  });

  test('what was stopped by hand is shown as it is', async () => {
    const { agent } = (await component('backend-2')).processes;
    process.kill(agent!, 'SIGSTOP');
    const { state, faults } = await component('backend-2');
    assert.deepEqual([state, faults], ['degraded', []]);
    process.kill(agent!, 'SIGCONT');
    assert.equal((await component('backend-2')).state, 'up');
  });

  test('where nothing runs there is nothing to freeze', async () => {
    await assert.rejects(engine.freeze('client-1'), { code: 'usage', message: /nothing runs in client-1/ });
    await engine.crash('backend-2/agent');
    await assert.rejects(engine.freeze('backend-2/agent'), { code: 'usage', message: /backend-2\/agent/ });
    assert.equal((await component('backend-2')).faults.length, 1);
    await engine.heal();
  });

  test('down after a freeze leaves nothing', async () => {
    const found = await engine.status();
    assert.ok(found && found !== 'starting');
    const entries = found.components
      .flatMap(each => Object.values(each.processes))
      .map(pid => processEntry(pid)!);
    await engine.freeze('proxy-1');
    await engine.freeze('backend-1/demo');
    assert.equal(await engine.down(), true);
    assert.deepEqual(remains(place), []);
    assert.ok(entries.length > 0 && !entries.some(isAlive));
  });
});
