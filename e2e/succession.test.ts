/**
 * The logger is replaced by another version of itself (ARCHITECTURE §7): what it has followed is followed on, whether that version lays
 * its table out alike or otherwise.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import { ADA, counted, guardedLab, PLAIN, rules, STAFF, served } from './fixtures/guarded-lab.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { labTest } from './fixtures/lab.ts';
import { buildNextVersion, type NextVersion, OTHER_TABLE } from './fixtures/next-version.ts';
import { replaceDaemon } from './fixtures/replacement.ts';
import { grown, lossesIn, tcpCounters } from './fixtures/tcp-counters.ts';

const LOGGER = 'logger-1/logger';
const BYTES = 30_000_000;
const PACE = 10e6;

const versions: Partial<Record<'alike' | 'otherwise', NextVersion>> = {};
before(() => {
  versions.alike = buildNextVersion();
  versions.otherwise = buildNextVersion(OTHER_TABLE);
});
after(() => {
  for (const each of Object.values(versions)) each.remove();
});

// Not of one back end's alone: what is left must be able to go on.
const { lab, connect } = guardedLab(rules('pool: all'));

/** What the logger's newest daemon has said of its beginning. */
function said(message: string): boolean {
  const log = readFileSync(`/run/resplice/${LOGGER}.log`, 'utf8');
  return log.slice(log.lastIndexOf('"msg":"starting"')).includes(message);
}

for (const [what, layout, program] of [
  ['a version that lays its table out alike', 'alike', (app: string) => versions.alike!.main(app)],
  ['this version again', 'alike', undefined],
  [
    'a version that lays its table out otherwise',
    'otherwise',
    (app: string) => versions.otherwise!.main(app),
  ],
  ['this version again, from the other layout', 'otherwise', undefined],
] as const)
  labTest(
    `the logger is replaced by ${what}: connections are protected, and judged, as before`,
    lab,
    async t => {
      const connections = await Promise.all([PLAIN, PLAIN, PLAIN, STAFF, STAFF].map(port => connect(port)));
      const [idle, down, up, judged, judgedDown] = connections;
      const target = String(await served(idle!));
      const other = target === 'backend-1' ? 'backend-2' : 'backend-1';
      assert.match(String(await served(down!)), /^backend-/);
      for (const each of [judged!, judgedDown!]) assert.match(String(await served(each, ADA)), /^backend-/);
      const hosts = ['client-1', 'backend-1', 'backend-2'];
      const counters = () => Promise.all(hosts.map(host => tcpCounters(`resplice-${host}`)));
      const before = await counters();
      const downloads = [down!, judgedDown!].map(each =>
        each.request({ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0, bytesPerSecond: PACE }),
      );
      const upload = up!.request({
        ...{ method: 'POST', path: '/upload', bytesPerSecond: PACE },
        upload: { bytes: BYTES },
      });
      await Promise.all([...downloads.map(each => each.received(BYTES / 5)), upload.sent(BYTES / 5)]);
      await replaceDaemon(lab(), LOGGER, new NetnsEngine(program ? { programs: program } : {}));
      assert.equal(said('went on with the table of another version'), layout === 'otherwise');
      const isRunning = downloads.every(({ progress }) => progress.received < BYTES);
      assert.ok(isRunning, 'inconclusive: the downloads were over');
      const states = await Promise.all(
        [idle!, down!, judged!, judgedDown!].map(async ({ local }) => (await lab().connection(local)).state),
      );
      const [adopted, abandoned] = [await counted('adopted'), await counted('abandoned')];
      t.diagnostic(`${adopted} adopted, ${abandoned} not: the upload`);
      assert.deepEqual(states, ['passing', 'passing', 'passing', 'passing']);
      for (const each of downloads) assert.equal((await each.done).sha256, patternHash(BYTES));
      assert.deepEqual(JSON.parse((await upload.done).text!), { bytes: BYTES, sha256: patternHash(BYTES) });
      const growth = (await counters()).map((each, i) => grown(before[i]!, each));
      const stalls = await Promise.all(
        [...downloads, upload].map(async each => (await each.done).longestStallMs),
      );
      t.diagnostic(
        `longest stalls ${stalls.map(Math.round)} ms; ${hosts.map((host, i) => `${host}: ${lossesIn(growth[i]!).text}`).join('; ')}`,
      );
      assert.equal(await served(judged!), 401);
      assert.match(String(await served(judged!, ADA)), /^backend-/);
      await lab().fault('crash', target);
      for (const each of [down!, idle!]) assert.equal(await served(each), other, 'the same connection');
      for (const each of [judged!, judgedDown!]) assert.equal(await served(each, ADA), other);
      await lab().heal();
      for (const each of connections) await each.close();
    },
    180_000,
  );
