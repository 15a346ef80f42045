/** Nobody without the key can steer the tier: forged control messages, probes and SYNs change nothing and are counted. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { buildPacket, encodeOptions, parseIp, TcpFlags } from '@resplice/dataplane';
import type { ComponentStatus, LabStatus } from '@resplice/engines';
import { Sealer } from '@resplice/protocol';
import { overhear } from './fixtures/capture.ts';
import { Client } from './fixtures/client.ts';
import { output } from './fixtures/command.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const CONTROL = 7000;
const PROBE = 7001;
const CLIENT = '10.61.0.2';
/** Bytes around the payload of a sealed datagram: header before it, MAC behind it. */
const SEAL_HEADER = 24;
const SEAL_MAC = 16;

let lab: Lab;
/** A host on the middle network that is no proxy, no peer and has no business with control messages. */
let stranger: Client;
before(async () => {
  lab = await Lab.up();
  stranger = await Client.start(`/run/netns/${await namespaceOf('logger-1')}`);
});
after(async () => {
  await stranger?.stop();
  await lab?.down();
});
const theLab = (): Lab => lab;

async function namespaceOf(name: string): Promise<string> {
  return (await lab.component(name)).netns;
}

function named(status: LabStatus, name: string): ComponentStatus {
  return status.components.find(component => component.name === name)!;
}

/** Sum of a component's metrics whose name matches. */
function sum(component: ComponentStatus, pattern: RegExp): number {
  return Object.entries(component.metrics)
    .filter(([name]) => pattern.test(name))
    .reduce((total, [, value]) => total + value, 0);
}

/** What the tier does with connections and who it believes to be alive; forgeries must leave all of it alone. */
function belief(status: LabStatus): unknown {
  return status.components.map(component => ({
    name: component.name,
    state: component.state,
    version: component.metrics.steering_version,
    live: component.metrics.steering_live_proxies,
    up: component.metrics.liveness_targets_up,
  }));
}

async function addressOf(name: string, prefix: string): Promise<string> {
  return (await lab.component(name)).addresses.find(address => address.startsWith(prefix))!;
}

/** Datagrams of the kinds that somebody without the key can make, given one that he has overheard. */
function forgeries(genuine: Buffer, purpose: string): Buffer[] {
  const payload = genuine.subarray(SEAL_HEADER, genuine.length - SEAL_MAC);
  const sender = genuine.readUInt16BE(4);
  const now = Math.floor(Date.now() / 1000);
  const wrongKey = new Sealer({ key: randomBytes(32), purpose, sender, epoch: now });
  const changed = Buffer.from(genuine);
  changed[SEAL_HEADER]! ^= 1;
  return [Buffer.from(payload), randomBytes(genuine.length), wrongKey.seal(payload), changed, genuine];
}

/** On a busy machine beliefs change by themselves now and then. What forgeries do they do in each round. */
const ROUNDS = 4;

/** Sends `datagrams` to a component and asserts that each was refused and that nothing else happened. */
async function assertRefused(
  from: Client,
  component: string,
  address: string,
  port: number,
  datagrams: readonly Buffer[],
): Promise<void> {
  for (let round = 1; ; round++) {
    const before = await lab.status();
    const refusals = sum(named(before, component), /refused|malformed/);
    await from.sendDatagrams(address, port, datagrams);
    await waitFor(`${component} to count ${datagrams.length} refusals on port ${port}`, 3000, async () => {
      return sum(named(await lab.status(), component), /refused|malformed/) >= refusals + datagrams.length;
    });
    const after = await lab.status();
    // Fewer is no sign of anything: entries of closed connections expire in the meantime.
    const splices = (status: LabStatus): number => named(status, component).metrics.splices ?? 0;
    assert.ok(splices(after) <= splices(before), `${component} has more splices than before`);
    if (isDeepStrictEqual(belief(after), belief(before))) return;
    if (round === ROUNDS) assert.deepEqual(belief(after), belief(before));
  }
}

/** Opens a connection, so that the proxies have something to tell each other. */
async function aConnection(): Promise<void> {
  const client = await lab.client();
  await client.fetch(lab.site, { path: '/whoami' });
}

for (const proxy of ['proxy-1', 'proxy-2']) {
  labTest(`${proxy} refuses forged and replayed probes from its own network`, theLab, async () => {
    const target = await addressOf(proxy, '10.63.');
    const heard = await overhear(await namespaceOf(proxy), 'middle0', PROBE, all =>
      all.some(each => each.destination === target),
    );
    const genuine = heard.find(each => each.destination === target)!.payload;
    await assertRefused(stranger, proxy, target, PROBE, forgeries(genuine, 'liveness'));
  });

  labTest(`${proxy} refuses forged and replayed control messages from its own network`, theLab, async () => {
    const target = await addressOf(proxy, '10.63.');
    const enough = (all: readonly { destination: string }[]): boolean =>
      all.some(each => each.destination === target);
    const traffic = async (): Promise<void> => {
      // Either proxy may set a connection up: among eight, the other one sets up some.
      for (let i = 0; i < 8; i++) await aConnection();
    };
    const heard = await overhear(await namespaceOf(proxy), 'middle0', CONTROL, enough, traffic);
    const genuine = heard.find(each => each.destination === target)!.payload;
    await assertRefused(stranger, proxy, target, CONTROL, forgeries(genuine, 'control'));
  });

  labTest(`${proxy} refuses forged probes from the client`, theLab, async () => {
    const target = await addressOf(proxy, '10.62.');
    const heard = await overhear(await namespaceOf(proxy), 'front0', PROBE, all =>
      all.some(each => each.destination === target),
    );
    const genuine = heard.find(each => each.destination === target)!.payload;
    await assertRefused(await lab.client(), proxy, target, PROBE, forgeries(genuine, 'liveness'));
  });

  labTest(`${proxy} hears no control messages from the client at all`, theLab, async () => {
    const before = await lab.status();
    const client = await lab.client();
    for (const prefix of ['10.62.', '10.63.']) {
      await client.sendDatagrams(await addressOf(proxy, prefix), CONTROL, [randomBytes(60)]).catch(error => {
        // The network says at once that nobody is there, or that there is no way: as good an answer as silence.
        assert.match(String(error), /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH/);
      });
    }
    await aConnection();
    const after = await lab.status();
    const live = (status: LabStatus): unknown => named(status, 'lb-1').metrics.steering_version;
    assert.equal(live(after), live(before));
  });
}

for (const backend of ['backend-1', 'backend-2']) {
  labTest(`the agent of ${backend} refuses forged and replayed probes`, theLab, async () => {
    const target = await addressOf(backend, '10.64.');
    const heard = await overhear(await namespaceOf(backend), 'back0', PROBE, all =>
      all.some(each => each.destination === target),
    );
    const genuine = heard.find(each => each.destination === target)!.payload;
    await assertRefused(stranger, backend, target, PROBE, forgeries(genuine, 'liveness'));
  });
}

labTest('a forged answer does not bring a dead proxy back to life', theLab, async () => {
  const target = await addressOf('logger-1', '10.63.');
  // Overheard while the proxy was alive: genuine answers to the logger's probes arrive at the logger's own port.
  const heard = await overhear(await namespaceOf('proxy-1'), 'middle0', PROBE, all => all.length >= 3);
  await lab.fault('crash', 'proxy-1');
  await waitFor('the logger to drop proxy-1', 3000, async () => {
    return (await lab.component('logger-1')).metrics.steering_live_proxies === 1;
  });
  const proxy2 = await Client.start(`/run/netns/${await namespaceOf('proxy-2')}`);
  try {
    await proxy2.sendDatagrams(
      target,
      PROBE,
      heard.map(each => each.payload),
    );
  } finally {
    await proxy2.stop();
  }
  await aConnection();
  assert.equal((await lab.component('logger-1')).metrics.steering_live_proxies, 1);
  assert.equal((await lab.component('lb-1')).metrics.steering_live_proxies, 1);
});

interface ForgedSyn {
  readonly clientPort: number;
  readonly proxyId: number;
  /** Address of the back end. */
  readonly to: string;
}

/** A SYN as a proxy would send it, from somebody who has no key. */
function forgedSyn({ clientPort, proxyId, to }: ForgedSyn): Uint8Array {
  const [isn, p0] = [randomBytes(4).readUInt32BE(), randomBytes(4).readUInt32BE()];
  const identity = {
    proxyId,
    originalIsn: isn,
    originalP0: p0,
    vip: parseIp(lab.vip.address),
    vipPort: lab.vip.port,
    order: 0,
    mac: randomBytes(8),
  };
  return buildPacket({
    src: parseIp(CLIENT),
    dst: parseIp(to),
    sport: clientPort,
    dport: 8080,
    seq: isn,
    ack: p0,
    flags: TcpFlags.SYN,
    window: 64_240,
    options: encodeOptions({ mss: 1460, identity }),
  });
}

labTest('a SYN with our option but a wrong MAC installs nothing at a back end', theLab, async () => {
  const to = await addressOf('backend-1', '10.64.');
  for (const [proxyId, counter] of [
    [1, 'packets_total.in_forged'],
    [999, 'packets_total.in_unknown_proxy'],
  ] as const) {
    const before = (await lab.component('backend-1')).metrics;
    const syns = Array.from({ length: 20 }, (_, i) => forgedSyn({ clientPort: 20_000 + i, proxyId, to }));
    await stranger.sendPackets(syns);
    await waitFor(`${counter} to rise by 20`, 3000, async () => {
      return (await lab.component('backend-1')).metrics[counter]! >= before[counter]! + 20;
    });
    const { metrics } = await lab.component('backend-1');
    for (const untouched of [
      'packets_total.in_bound',
      'packets_total.in_repeated',
      'packets_total.out_to_proxy',
    ]) {
      assert.equal(metrics[untouched], before[untouched], untouched);
    }
  }
});

labTest('a forged SYN for a living connection does not disturb it', theLab, async () => {
  const client = await lab.client();
  const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
  const transfer = connection.request({ path: '/bytes/40000000', patternFrom: 0, bytesPerSecond: 40e6 });
  const { backend } = await lab.connection(connection.local);
  assert.ok(backend);
  const clientPort = Number(connection.local.split(':')[1]);
  const before = (await lab.component(backend)).metrics['packets_total.in_forged']!;
  const to = await addressOf(backend, '10.64.');
  const syns = [1, 2, 1, 2].map(proxyId => forgedSyn({ clientPort, proxyId, to }));
  await stranger.sendPackets(syns);
  const exchange = await transfer.done;
  assert.deepEqual([exchange.received, exchange.firstDifference], [40_000_000, -1]);
  assert.equal((await lab.component(backend)).metrics['packets_total.in_forged'], before + 4);
  await connection.close();
});

labTest('a proxy leaves frames alone that a switch floods past it', theLab, async () => {
  // While a proxy is gone, the bridge floods what is meant for it to everybody else. Whoever answers such a frame, in
  // the dead one's name, makes the bridge learn that its address is here: a revived proxy then hears nothing at all.
  const nobody = '10.62.0.200';
  const namespace = await namespaceOf('lb-1');
  const ip = (...argv: string[]): Promise<string> => output(['ip', '-n', namespace, ...argv]);
  await ip(
    'neighbour',
    'replace',
    nobody,
    'lladdr',
    '02:00:00:00:00:c8',
    'dev',
    'front0',
    'nud',
    'permanent',
  );
  await ip('route', 'replace', `${lab.vip.address}/32`, 'via', nobody, 'dev', 'front0');
  const balancer = await Client.start(`/run/netns/${namespace}`);
  try {
    const answered = async (): Promise<number> => {
      const status = await lab.status();
      const proxies = status.components.filter(({ role }) => role === 'proxy');
      return proxies.reduce((total, each) => total + sum(each, /front_syn_answered$/), 0);
    };
    const before = await answered();
    const syns = Array.from({ length: 10 }, (_, i) =>
      buildPacket({
        src: parseIp(CLIENT),
        dst: parseIp(lab.vip.address),
        sport: 21_000 + i,
        dport: lab.vip.port,
        seq: randomBytes(4).readUInt32BE(),
        ack: 0,
        flags: TcpFlags.SYN,
        window: 64_240,
        options: encodeOptions({ mss: 1460 }),
      }),
    );
    await balancer.sendPackets(syns);
    // It passes the same bridge behind them: once it is answered, they would be as well.
    await aConnection();
    assert.equal(await answered(), before + 1, 'only the SYN that was addressed to a proxy is answered');
  } finally {
    await balancer.stop();
    await ip('route', 'delete', `${lab.vip.address}/32`);
    await ip('neighbour', 'delete', nobody, 'dev', 'front0');
  }
});
