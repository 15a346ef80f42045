/** A tier whose own links are narrower than the clients' and the back ends': nobody sends what does not fit. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { inNamespace, output } from './fixtures/command.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { grown, tcpCounters } from './fixtures/tcp-counters.ts';
import { waitFor } from './fixtures/wait.ts';

const MTU = 1300;
const ETHERNET = 1500;
/** IP and TCP headers without options. */
const HEADERS = 40;
const BYTES = 5_000_000;
const HOSTS = ['proxy-1', 'proxy-2', 'logger-1'];

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());

/** Makes the middle network so narrow, and waits until the proxies have noticed. */
async function narrow(mtu: number): Promise<void> {
  for (const host of HOSTS) {
    const change = ['ip', 'link', 'set', 'dev', 'middle0', 'mtu', String(mtu)];
    await output(inNamespace(`resplice-${host}`, change));
  }
  await waitFor(`the proxies to announce segments for ${mtu} bytes`, 5000, async () => {
    const { components } = await lab.status();
    const proxies = components.filter(({ role }) => role === 'proxy');
    return proxies.every(({ metrics }) => metrics.segment_bytes === mtu - HEADERS);
  });
}

/** The largest segment that a new connection of the client's may send, by its kernel. */
async function clientMss(): Promise<number> {
  const client = await lab.client();
  const connection = await client.connect(lab.site);
  await connection.request({ path: '/whoami' }).done;
  const argv = ['ss', '--tcp', '--info', '--numeric', '--no-header', '--oneline', 'src', connection.local];
  const line = await output(inNamespace(lab.clientNamespace, argv));
  await connection.close();
  return Number(/ mss:(\d+)/.exec(line)?.[1]);
}

for (const mtu of [MTU, ETHERNET]) {
  labTest(
    `a middle network of ${mtu} bytes: transfers both ways, no segment too large`,
    () => lab,
    async t => {
      const client = await lab.client();
      await narrow(mtu);
      assert.equal(await clientMss(), mtu - HEADERS);
      const backends = ['resplice-backend-1', 'resplice-backend-2'];
      const before = await Promise.all(backends.map(tcpCounters));
      for (let round = 0; round < 3; round++) {
        const { sha256 } = await client.fetch(lab.site, { path: `/bytes/${BYTES}`, patternFrom: 0 });
        assert.equal(sha256, patternHash(BYTES));
        const upload = { bytes: BYTES };
        const { text } = await client.fetch(lab.site, { method: 'POST', path: '/upload', upload });
        assert.deepEqual(JSON.parse(text!), { bytes: BYTES, sha256: patternHash(BYTES) });
      }
      const growth = (await Promise.all(backends.map(tcpCounters))).map((each, i) => grown(before[i]!, each));
      const timeouts = growth.map(({ TCPTimeouts = 0 }) => TCPTimeouts);
      t.diagnostic(`time-outs of the back ends: ${timeouts.join(', ')}`);
      assert.deepEqual(timeouts, [0, 0]);
    },
  );
}
