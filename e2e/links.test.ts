/**
 * Clients that are far away: the tier over links with delay, a narrow place and loss. Without faults no kernel may send
 * anything again that had arrived; when a proxy dies the stall may grow by two round trips and by the time that the link
 * needs to carry again what was in flight (FAULTS.md).
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { siteFiles } from '@resplice/demo';
import { median } from '@resplice/figures';
import { curlDownload } from './fixtures/curl.ts';
import { assertDuring, assertMoved, breakProxy } from './fixtures/drill.ts';
import { type Row, table } from './fixtures/figures.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { postThrough } from './fixtures/post-crowd.ts';
import { withoutSpurious } from './fixtures/retransmissions.ts';
import { openTrio, runTrio, type TrioRun } from './fixtures/trio.ts';
import { waitFor } from './fixtures/wait.ts';

const USAGE = 64;
/** Bytes of a full packet on the link, its Ethernet header included. */
const FULL_PACKET = 1514;
const QUEUE_PACKETS = 100;

/** A lab of its own for the tests of one link. */
function overLink(link: string, tests: (lab: () => Lab) => void): void {
  suite(`over ${link}`, { timeout: 600_000 }, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.up({ link });
    });
    after(async () => {
      if (!lab) return;
      const link = (await lab.component('link-1')).processes.link;
      await lab.down();
      await waitFor('the link to end with the lab', 2000, () => !existsSync(`/proc/${link}`));
    });
    tests(() => lab);
  });
}

/** The page and what it shows, an object after the other, each on a connection of its own. */
async function loadPage(lab: Lab, files: ReturnType<typeof siteFiles>): Promise<void> {
  for (const { path, content } of files) {
    const { code, bytes, stderr } = await curlDownload(lab.clientNamespace, [
      new URL(path, lab.vip.url).href,
    ]);
    assert.deepEqual([code, bytes, stderr], [0, content().length, ''], path);
  }
}

async function transfer(lab: Lab, bytes: number): Promise<void> {
  const client = await lab.client();
  const connection = await client.connect(lab.site);
  const down = await connection.request({ path: `/bytes/${bytes}`, patternFrom: 0 }).done;
  assert.deepEqual([down.sha256, down.firstDifference], [patternHash(bytes), -1]);
  const up = await connection.request({ method: 'POST', path: '/upload', upload: { bytes } }).done;
  assert.deepEqual(JSON.parse(up.text!), { bytes, sha256: patternHash(bytes) });
  await connection.close();
}

overLink('66ms,20mbit', lab => {
  labTest('downloads, uploads and the whole page: nothing is sent again that had arrived', lab, async t => {
    await withoutSpurious(t, lab(), async () => {
      await transfer(lab(), 5_000_000);
      await loadPage(lab(), siteFiles());
    });
  });

  labTest('status tells the link, and its round trip is there', lab, async () => {
    const { link, components } = await lab().status();
    assert.deepEqual(
      { ...link, emulator: '' },
      { name: '66ms,20mbit', emulator: '', rttMs: 66, rateMbit: 20, lossPercent: 0 },
    );
    assert.match(link.emulator, /^(tap|tc-netem)$/);
    assert.deepEqual(Object.keys(components.find(({ name }) => name === 'link-1')!.processes), ['link']);
    const client = await lab().client();
    const connection = await client.connect(lab().site);
    await connection.request({ path: '/whoami' }).done;
    const { startedAt, endedAt } = await connection.request({ path: '/whoami' }).done;
    assert.ok(endedAt - startedAt >= 66 && endedAt - startedAt < 66 + 60, `${endedAt - startedAt} ms`);
    await connection.close();
  });

  labTest(
    'a link whose process has died is a dead link, to be seen and healed; cut off, it is dead too',
    lab,
    async t => {
      const client = await lab().client();
      const answers = (): Promise<boolean> =>
        client.fetch({ ...lab().site, deadlineMs: 1000 }, { path: '/whoami', deadlineMs: 1000 }).then(
          () => true,
          () => false,
        );
      for (const [fault, target] of [
        ['crash', 'link-1/link'],
        ['cut', 'link-1'],
      ] as const) {
        await lab().fault(fault, target);
        assert.notEqual((await lab().component('link-1')).state, 'up', `${fault} ${target}`);
        // The kernel's own emulation does not need the process.
        const needed = (await lab().status()).link.emulator !== 'tc-netem' || target === 'link-1';
        if (needed) assert.equal(await answers(), false, `${fault} ${target}`);
        await lab().heal();
        assert.equal((await lab().component('link-1')).state, 'up');
        assert.equal(await answers(), true, `healed from ${fault} ${target}`);
        t.diagnostic(`${fault} ${target}`);
      }
    },
  );

  labTest("faults at the link's two ends take effect, and can be healed", lab, async () => {
    const client = await lab().client();
    for (const [fault, target] of [
      ['cut', 'lb-1'],
      ['crash', 'client-1'],
    ] as const) {
      await lab().fault(fault, target);
      await assert.rejects(client.connect({ ...lab().site, deadlineMs: 1000 }), target);
      await lab().heal();
      assert.equal((await client.fetch(lab().site, { path: '/whoami' })).status, 200, target);
    }
  });
});

overLink('300ms,0.0395mbit', lab => {
  labTest(
    'a thin link: small transfers and the page, an object at a time; nothing is sent again that had arrived',
    lab,
    async t => {
      await withoutSpurious(t, lab(), async () => {
        await transfer(lab(), 25_000);
        await loadPage(
          lab(),
          siteFiles().filter(({ path }) => /^\/(style\.css|script\.js)?$/.test(path)),
        );
      });
    },
  );
});

overLink('66ms,20mbit,1%', lab => {
  const rttMs = 66;
  const bitsPerMs = 20_000;
  /** A retransmission may be lost too: Linux's time-out, 200 ms and the round trip. */
  const lostMs = 200 + rttMs;
  /** FAULTS.md: the LAN's bar, two round trips, and what was in flight once more: a full pipe and a full queue. */
  const barMs = 300 + 2 * rttMs + (rttMs + (QUEUE_PACKETS * FULL_PACKET * 8) / bitsPerMs) + lostMs;
  /**
   * Loss makes one transfer last twice as long as another. Cubic needs some seven seconds, three if it is lucky; when the slower one
   * has passed the mark, the faster one must have time left for the fault to be made.
   */
  const load = { bytes: 1_800_000, markBytes: 150_000, bytesPerSecond: 25e6 };
  const repeat = Number(process.env.REPEAT ?? 3);
  const rows: Row[] = [];
  const stalls = ({ download, upload, woken }: TrioRun): number[] =>
    [download, upload, woken].map(each => each.longestStallMs);
  const moments = ['mid-download', 'mid-upload', 'idle, then POST'];
  const normal: number[][] = [];

  after(() => {
    if (rows.length > 0)
      process.stderr.write(`\n${table(`added stall, bar ${barMs.toFixed(0)} ms`, rows)}\n\n`);
  });

  labTest('without a fault: how long a lost packet stalls', lab, async t => {
    // As on most clients, and as the back ends'; BBR would be done before the fault.
    // By the route: a namespace may not choose what its machine does not allow to everybody.
    const way = ['default', 'via', '10.61.0.1', 'congctl', 'cubic'];
    assert.equal((await lab().exec('client-1', ['ip', 'route', 'replace', ...way])).code, 0);
    for (let run = 0; run < 3; run++) {
      const trio = await openTrio(lab());
      const options = { ...load, run: `links-normal-${process.pid}-${run}` };
      normal.push(stalls(await runTrio(lab(), trio, options, async () => {})));
      await Promise.all(trio.connections.map(each => each.close()));
    }
    t.diagnostic(normal.map(each => each.map(Math.round).join(' ')).join(', '));
  });

  const isolation = 'isolation from the balancer';
  for (const fault of ['crash', 'cut', 'freeze', isolation] as const) {
    const strike = (proxy: string) =>
      fault === isolation ? lab().isolate(proxy, 'lb-1') : breakProxy(fault, proxy);
    labTest(`${fault} of the serving proxy far away: mid-download, mid-upload, idle`, lab, async t => {
      assert.ok(normal.length > 0, 'inconclusive: nothing to compare with');
      const added: number[][] = moments.map(() => []);
      const own = moments.map((moment, i) => ({
        cell: `${fault}, ${moment}`,
        values: added[i]!,
        verdict: 'fail',
      }));
      rows.push(...own);
      for (let run = 0; run < repeat; run++) {
        const trio = await openTrio(lab());
        const options = { ...load, run: `links-${fault.replaceAll(' ', '-')}-${process.pid}-${run}` };
        let at = 0;
        const done = await runTrio(lab(), trio, options, async () => {
          ({ at } = await strike(trio.proxy));
        });
        assertDuring({ at }, done.download);
        assertDuring({ at }, done.upload);
        for (const connection of trio.connections) {
          if (fault === isolation)
            assert.notEqual((await lab().connection(connection.local)).proxy, trio.proxy, connection.local);
          else await assertMoved(lab(), { fault, proxy: trio.proxy }, connection);
          await connection.close();
        }
        for (const [i, stall] of stalls(done).entries()) {
          added[i]!.push(Math.max(0, stall - median(normal.map(each => each[i]!))));
        }
        await lab().heal();
      }
      t.diagnostic(added.map((each, i) => `${moments[i]}: ${each.map(Math.round).join(', ')}`).join('; '));
      for (const [i, values] of added.entries()) {
        assert.ok(
          median(values) <= barMs,
          `${moments[i]}: median added stall ${median(values)} ms is above ${barMs} ms`,
        );
        own[i]!.verdict = 'pass';
      }
    });

    labTest(
      `${fault} of a proxy while connections from far away are set up: each POST is answered and runs once`,
      lab,
      async t => {
        const { posts, slowestMs } = await postThrough(
          lab(),
          // By the command line, which takes a second: the first of the crowd must have come from far away by then.
          async () => (await (fault === isolation ? strike('proxy-1') : lab().fault(fault, 'proxy-1'))).at,
          `links-setup-${fault.replaceAll(' ', '-')}-${process.pid}`,
        );
        t.diagnostic(`${posts} connections, the slowest answer took ${slowestMs.toFixed(0)} ms`);
      },
    );
  }
});

test('a link that does not exist is wrong usage, with a sentence that says what is allowed', async () => {
  const { code, stdout, stderr } = await resplice(['up', '--detach', '--link', '66ms,1%']);
  assert.deepEqual([code, stdout], [USAGE, '']);
  assert.match(
    stderr,
    /--link: "66ms,1%" is no link; there are lan, lan-paper, wan-mit, wan-sg, wan-in, or RTTms/,
  );
});
