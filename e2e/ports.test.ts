/** A client uses one port again and again, at once, whoever closed first: each connection is a new one. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { median } from '@resplice/figures';
import { inNamespace, output } from './fixtures/command.ts';
import { curlDownload } from './fixtures/curl.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { loseBetweenClientAndTier } from './fixtures/loss.ts';
import { waitFor } from './fixtures/wait.ts';

const ROUNDS = 20;
const FORGOTTEN = 8;
const BYTES = 20_000;
/** Below the ports that the kernel chooses itself. */
const PORT = 21_000;
/** Reuse must not cost a retransmission each time: the smallest time-out is 200 ms, a SYN's 1 s. Of the median, in s. */
const BAR_S = 0.2;

let lab: Lab;
before(async () => {
  // One back end: the next connection meets what the last one has left there.
  lab = await Lab.up({ backends: 1 });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

/** One connection from that port, with the time it took, s. */
async function fromThePort(path: string, argv: readonly string[], from = PORT): Promise<number> {
  const write = '%{stderr}%{time_total} %{local_port}';
  const url = `http://${lab.vip.address}:${lab.vip.port}${path}`;
  const { code, sha256, stderr } = await curlDownload(lab.clientNamespace, [
    ...['--local-port', String(from), '--write-out', write],
    ...argv,
    url,
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(sha256, patternHash(BYTES));
  const [seconds, port] = stderr.split(' ').map(Number);
  assert.equal(port, from);
  return seconds!;
}

/** The client's sockets of that port that wait for their old packets to die (RFC 9293 §3.6.1). */
async function waiting(...argv: string[]): Promise<string[]> {
  const filter = ['state', 'time-wait', 'sport', '=', `:${PORT}`];
  const listing = await output(
    inNamespace(lab.clientNamespace, ['ss', '--tcp', '--numeric', '--no-header', ...argv, ...filter]),
  );
  return listing.split('\n').filter(line => line !== '');
}

function told(seconds: readonly number[]): string {
  const [p50, max] = [median(seconds), Math.max(...seconds)].map(each => `${(each * 1000).toFixed(0)} ms`);
  return `${seconds.length} connections from a used port took ${p50} each, the slowest ${max}`;
}

labTest('the server closes first: the client uses its port again at once', theLab, async t => {
  const seconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Without a length, so that the client waits for the server's FIN.
    seconds.push(await fromThePort(`/bytes/${BYTES}?chunked=1`, ['--http1.0']));
    assert.deepEqual(await waiting(), [], 'inconclusive: the client had closed first');
  }
  t.diagnostic(told(seconds));
  assert.ok(median(seconds) < BAR_S, told(seconds));
});

labTest('the client closes first, forgets at once, and uses its port again', theLab, async t => {
  const seconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    seconds.push(await fromThePort(`/bytes/${BYTES}`, []));
    await waitFor("the client's own TIME_WAIT", 5000, async () => (await waiting()).length === 1);
    // A client elsewhere may keep no such state, or share its address with others: end it here (SOCK_DESTROY).
    await waiting('--kill');
    assert.deepEqual(await waiting(), [], "inconclusive: the kernel cannot end a socket's TIME_WAIT");
  }
  t.diagnostic(told(seconds));
  assert.ok(median(seconds) < BAR_S, told(seconds));
});

labTest(
  'the client forgets without a word: the old socket makes room for the new connection',
  theLab,
  async t => {
    const client = await lab.client();
    const seconds: number[] = [];
    const oldSockets = async (): Promise<number> => {
      const proxies = (await lab.status()).components.filter(({ role }) => role === 'proxy');
      return proxies.reduce((sum, { metrics }) => sum + (metrics['events_total.backend_old_socket'] ?? 0), 0);
    };
    const before = await oldSockets();
    for (let round = 0; round < FORGOTTEN; round++) {
      const connection = await client.connect(lab.site);
      await connection.request({ path: '/whoami' }).done;
      const port = Number(connection.local.split(':')[1]);
      // As if the machine had lost its power: its kernel's RST does not get out.
      await loseBetweenClientAndTier(100, []);
      await output(inNamespace(lab.clientNamespace, ['ss', '--kill', '--tcp', 'sport', '=', `:${port}`]));
      await loseBetweenClientAndTier(0, []);
      seconds.push(await fromThePort(`/bytes/${BYTES}`, [], port));
    }
    t.diagnostic(told(seconds));
    assert.ok((await oldSockets()) >= before + FORGOTTEN, 'inconclusive: the back end had no old socket');
    assert.ok(median(seconds) < BAR_S, told(seconds));
  },
);
