import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Opener, Sealer } from '@resplice/protocol';
import { type Liveness, type LivenessOptions, startLiveness, type Target } from '../src/liveness.ts';
import { decode, encodeAnswer, encodeProbe, LIVENESS_PURPOSE } from '../src/probe.ts';
import { until } from '../testing/until.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i);
const otherKey = Uint8Array.from({ length: 32 }, () => 9);
const INTERVAL_MS = 20;
const MISSES = 3;
/** Longest time from death to verdict: the rounds, the one that death came in, and a crowded machine's slack. */
const VERDICT_MS = INTERVAL_MS * (MISSES + 1) + 150;

const target = (id: number, { port }: { port: number }): Target => ({
  name: `peer-${id}`,
  id,
  address: '127.0.0.1',
  port,
  intervalMs: INTERVAL_MS,
  misses: MISSES,
});

async function start(t: TestContext, id: number, options: Partial<LivenessOptions> = {}): Promise<Liveness> {
  const liveness = await startLiveness({ port: 0, key, self: { id, epoch: 1000 + id }, ...options });
  t.after(() => liveness.close());
  return liveness;
}

/** A child that answers, and may probe. */
async function startChild(t: TestContext, id: number, targets: Target[] = []) {
  const argument = { port: 0, key: Buffer.from(key).toString('hex'), self: { id, epoch: 1000 }, targets };
  const child = fork(new URL('./fixtures/liveness-child.ts', import.meta.url), [JSON.stringify(argument)]);
  t.after(() => child.kill('SIGKILL'));
  const seen: Record<string, unknown>[] = [];
  child.on('message', message => seen.push(message as Record<string, unknown>));
  await until('the child listens', () => seen.some(message => 'listening' in message), 10_000);
  return { child, seen, port: seen.find(message => 'listening' in message)!.listening as number };
}

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

test('two see each other up, one goes, comes back with a new epoch', async t => {
  const peer = await startLiveness({ port: 0, key, self: { id: 2, epoch: 77 } });
  peer.setReady(true);
  peer.setStatus(0xdeadbeef);
  const prober = await start(t, 1, { targets: [target(2, peer)] });
  const changes: string[] = [];
  prober.onChange(({ name }, { live, epoch }) => changes.push(`${name} ${live ? epoch : 'dead'}`));

  assert.equal(prober.isUp('peer-2'), false);
  await prober.settled;
  await until('peer-2 is up', () => prober.isUp('peer-2'));
  const { live, ready, epoch, status, rttUs, sinceHeardMs } = prober.state('peer-2');
  assert.deepEqual(
    { live, ready, epoch, status },
    { live: true, ready: true, epoch: 77, status: 0xdeadbeef },
  );
  assert.ok(rttUs > 0 && rttUs < 1e6, `rtt ${rttUs} µs`);
  assert.ok(sinceHeardMs < 1000);

  await peer.close();
  const verdict = await until('peer-2 is dead', () => !prober.state('peer-2').live);
  assert.ok(verdict <= VERDICT_MS, `dead after ${verdict} ms`);
  assert.ok(verdict >= INTERVAL_MS * (MISSES - 1) - 10, `dead after ${verdict} ms already`);
  assert.deepEqual(prober.up(), []);

  const reborn = await start(t, 2, { port: peer.port, self: { id: 2, epoch: 78 } });
  reborn.setReady(true);
  await until('peer-2 is up again', () => prober.isUp('peer-2'));
  assert.deepEqual(
    changes.filter((change, i) => change !== changes[i - 1]),
    ['peer-2 77', 'peer-2 dead', 'peer-2 78'],
  );
});

test('live but not ready is not up, and changes of ready and status arrive', async t => {
  const peer = await start(t, 2);
  const prober = await start(t, 1, { targets: [target(2, peer)] });
  await until('peer-2 is live', () => prober.state('peer-2').live);
  assert.equal(prober.isUp('peer-2'), false);
  peer.setReady(true);
  await until('peer-2 is up', () => prober.isUp('peer-2'));
  peer.setStatus(42);
  await until('the status arrives', () => prober.state('peer-2').status === 42);
  peer.setReady(false);
  await until('peer-2 is not up', () => !prober.isUp('peer-2'));
  assert.equal(prober.state('peer-2').live, true);
});

test('a main thread that is busy for 300 ms looks alive and sees others alive', async t => {
  const peer = await start(t, 2);
  peer.setReady(true);
  const prober = await start(t, 1, { targets: [target(2, peer)] });
  await until('peer-2 is up', () => prober.isUp('peer-2'));
  const changes: unknown[] = [];
  prober.onChange((_, state) => changes.push(state));
  const before = peer.counter('answers');
  block(300);
  const during = peer.counter('answers') - before;
  assert.ok(during >= 8, `${during} answers in 300 ms`);
  await until('another answer', () => peer.counter('answers') > before + during);
  assert.deepEqual(changes, []);
});

test('a main thread that hangs beyond stallMs is dead, and live again when it turns', async t => {
  const peer = await start(t, 2, { stallMs: 100 });
  peer.setReady(true);
  const { seen } = await startChild(t, 1, [target(2, peer)]);
  await until('the child sees peer-2', () => seen.some(({ live }) => live === true));
  block(100 + VERDICT_MS);
  await until('the child says dead', () => seen.some(({ live }) => live === false));
  assert.ok(peer.counter('withheld') > 0);
  await until('the child says live', () => seen.at(-1)?.live === true);
});

test('whoever was silent for so long that it may be dead for others is not ready before it has dealt with that', async t => {
  const settled = Promise.withResolvers<void>();
  let lapses = 0;
  const onLapse = async () => {
    lapses++;
    await settled.promise;
  };
  const peer = await start(t, 2, { stallMs: 100, lapseMs: 60, onLapse });
  peer.setReady(true);
  const { seen } = await startChild(t, 1, [target(2, peer)]);
  await until('the child sees it ready', () => seen.at(-1)?.ready === true);
  block(100 + VERDICT_MS);
  await until('the child hears it again', () => seen.at(-1)?.live === true && lapses > 0);
  await until('it is live, but not ready', () => seen.at(-1)?.live === true && seen.at(-1)?.ready === false);
  assert.equal(lapses, peer.counter('lapses'));
  settled.resolve();
  await until('it is ready again', () => seen.at(-1)?.ready === true);
});

test('SIGSTOP of a process makes it dead, SIGCONT live again', async t => {
  const { child, port } = await startChild(t, 2);
  const prober = await start(t, 1, { targets: [target(2, { port })] });
  await until('the child is up', () => prober.isUp('peer-2'));
  child.kill('SIGSTOP');
  const verdict = await until('the child is dead', () => !prober.state('peer-2').live);
  assert.ok(verdict <= VERDICT_MS, `dead after ${verdict} ms`);
  child.kill('SIGCONT');
  await until('the child is up again', () => prober.isUp('peer-2'));
});

test('a prober that was stopped itself declares nobody dead', async t => {
  const peers = [await start(t, 2), await start(t, 3)];
  for (const peer of peers) peer.setReady(true);
  const targets = peers.map((peer, i) => target(i + 2, peer));
  const { child, seen } = await startChild(t, 1, targets);
  await until('the child sees both', () => seen.filter(({ live }) => live === true).length === 2);
  for (let i = 0; i < 3; i++) {
    child.kill('SIGSTOP');
    const silence = performance.now();
    await until('the child is stopped for ten intervals', () => performance.now() - silence > 200);
    const answers = peers[0]!.counter('answers');
    child.kill('SIGCONT');
    await until('the child probes again', () => peers[0]!.counter('answers') > answers + MISSES);
  }
  child.send('late');
  await until('the child tells of its late rounds', () => seen.some(message => 'late' in message));
  assert.ok((seen.find(message => 'late' in message)!.late as number) >= 3);
  assert.deepEqual(
    seen.filter(({ live }) => live === false),
    [],
  );
});

test('answers without the key, for others or to nothing asked are ignored and counted', async t => {
  const forger = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => forger.close());
  await once(forger, 'listening');
  const prober = await start(t, 1, { targets: [target(2, forger.address())] });
  const forged = new Sealer({ key: otherKey, purpose: LIVENESS_PURPOSE, sender: 2, epoch: 1 });
  const elsewhere = new Sealer({ key, purpose: 'control', sender: 2, epoch: 1 });
  const true2 = new Sealer({ key, purpose: LIVENESS_PURPOSE, sender: 2, epoch: 1 });
  const true3 = new Sealer({ key, purpose: LIVENESS_PURPOSE, sender: 3, epoch: 1 });
  const opener = new Opener({ key, purpose: LIVENESS_PURPOSE });
  let silent = false;
  let probes = 0;
  forger.on('message', (datagram, from) => {
    const opened = opener.open(datagram);
    assert.ok(opened.refused === undefined);
    const probe = decode(opened.payload);
    assert.ok(probe?.kind === 'probe' && probe.receiver === 2);
    probes++;
    if (silent) return;
    const reply = (bytes: Uint8Array) => forger.send(bytes, from.port, from.address);
    reply(forged.seal(encodeAnswer(1, probe.number, true, 0)));
    reply(elsewhere.seal(encodeAnswer(1, probe.number, true, 0)));
    reply(datagram); // reflected
    reply(Buffer.from('garbage'));
    reply(true2.seal(encodeAnswer(4, probe.number, true, 0))); // for another prober
    reply(true2.seal(encodeAnswer(1, (probe.number + 1) >>> 0, true, 0))); // not asked yet
    reply(true3.seal(encodeAnswer(1, probe.number, true, 0))); // not the one that was asked
    reply(true2.seal(Buffer.from('nonsense')));
  });
  await until('ten probes', () => probes >= 10);
  assert.equal(prober.state('peer-2').live, false);
  assert.ok(prober.counter('refused') >= 9 * 3, `${prober.counter('refused')} refused`);
  assert.ok(prober.counter('unexpected') >= 9 * 5, `${prober.counter('unexpected')} unexpected`);

  // The same forger with the key and the right number: only now it is live; and its answer counts once.
  silent = true;
  let answer: Buffer | undefined;
  forger.once('message', (datagram, from) => {
    const opened = opener.open(datagram);
    // The first listener has opened it already: the same datagram is a replay here.
    assert.equal(opened.refused, 'replay');
    const number = datagram.readUInt32BE(24 + 4);
    answer = true2.seal(encodeAnswer(1, number, true, 0));
    forger.send(answer, from.port, from.address);
  });
  await until('live by a true answer', () => prober.isUp('peer-2'));
  const refused = prober.counter('refused');
  forger.send(answer!, prober.port, '127.0.0.1');
  await until('its replay is refused', () => prober.counter('refused') > refused);
});

test('a probe without the key, or for another, gets no answer', async t => {
  const peer = await start(t, 2);
  const stranger = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => stranger.close());
  await once(stranger, 'listening');
  let heard = 0;
  stranger.on('message', () => heard++);
  const wrong = new Sealer({ key: otherKey, purpose: LIVENESS_PURPOSE, sender: 1, epoch: 1 });
  const right = new Sealer({ key, purpose: LIVENESS_PURPOSE, sender: 1, epoch: 1 });
  stranger.send(wrong.seal(encodeProbe(2, 1)), peer.port, '127.0.0.1');
  stranger.send(right.seal(encodeProbe(3, 1)), peer.port, '127.0.0.1');
  await until('both came', () => peer.counter('refused') === 1 && peer.counter('unexpected') === 1);
  stranger.send(right.seal(encodeProbe(2, 1)), peer.port, '127.0.0.1');
  await until('the true one is answered', () => heard > 0);
  assert.equal(heard, 1);
  assert.equal(peer.counter('answers'), 1);
});

test('all targets silent at once: suspicion against ourselves first', async t => {
  const peers = await Promise.all([2, 3].map(id => startLiveness({ port: 0, key, self: { id, epoch: 1 } })));
  for (const peer of peers) peer.setReady(true);
  const prober = await start(t, 1, { targets: peers.map((peer, i) => target(i + 2, peer)) });
  await until('both are up', () => prober.up().length === 2);
  let suspectedAt = 0;
  prober.onSuspectSelf(() => {
    suspectedAt ||= performance.now();
    assert.equal(prober.up().length, 2);
  });
  await Promise.all(peers.map(peer => peer.close()));
  await until('both are dead', () => prober.up().length === 0);
  assert.ok(suspectedAt > 0, 'no suspicion was reported');
  assert.ok(performance.now() - suspectedAt >= INTERVAL_MS * MISSES - 5);
  assert.equal(prober.counter('self_suspicions'), 1);
});

test('targets come and go while it runs', async t => {
  const peers = [await start(t, 2), await start(t, 3)];
  for (const peer of peers) peer.setReady(true);
  const prober = await start(t, 1);
  await prober.settled;
  const [a, b] = peers.map((peer, i) => target(i + 2, peer));
  prober.setTargets([a!]);
  await until('the first is up', () => prober.isUp('peer-2'));
  const changes: string[] = [];
  prober.onChange(({ name }) => changes.push(name));
  prober.setTargets([a!, { ...b!, intervalMs: 50 }]);
  assert.equal(prober.isUp('peer-2'), true);
  await until('the second is up', () => prober.isUp('peer-3'));
  prober.setTargets([{ ...b!, intervalMs: 50 }]);
  assert.deepEqual(prober.up(), ['peer-3']);
  const answered = peers[0]!.counter('answers');
  const others = peers[1]!.counter('answers');
  await until('ten more rounds', () => peers[1]!.counter('answers') > others + 10);
  assert.ok(peers[0]!.counter('answers') <= answered + 1, 'the first is probed no more');
  assert.deepEqual(changes, ['peer-3']);
  assert.throws(() => prober.setTargets([a!, a!]), /names and ids of their own/);
});

test('a port in use is an error at start', async t => {
  const first = await start(t, 1);
  await assert.rejects(startLiveness({ port: first.port, key, self: { id: 2, epoch: 1 } }), /EADDRINUSE/);
});
