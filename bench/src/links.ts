import assert from 'node:assert/strict';
import { patternHash } from '@resplice/e2e/fixtures/known-bytes.ts';
import { Lab } from '@resplice/e2e/fixtures/lab.ts';
import type { Watcher } from '@resplice/engines';
import { median, randomFrom, shuffled } from '@resplice/figures';
import { pairwise } from './statistics.ts';

/** Seconds that clients at the far end of a link need, one a round. */
export interface LinkFigures {
  /** As `--link` takes it. */
  readonly link: string;
  readonly what: string;
  readonly forward: readonly number[];
  readonly resplice: readonly number[];
}

/** How much slower than plain forwarding Resplice may be over a link: what the tier adds vanishes in the round trip. */
export const MOST_OVER_LINK = 1.05;

const arms = ['forward', 'resplice'] as const;
type Arm = (typeof arms)[number];

interface Activity {
  readonly what: string;
  run(lab: Lab): Promise<void>;
}

/** The bytes are compared: what is fast and wrong is no figure. */
function download(bytes: number): Activity {
  return {
    what: `download of ${bytes / 1000} kB`,
    async run(lab) {
      const client = await lab.client();
      const got = await client.fetch(lab.site, { path: `/bytes/${bytes}`, patternFrom: 0 });
      assert.deepEqual([got.sha256, got.firstDifference], [patternHash(bytes), -1]);
    },
  };
}

function upload(bytes: number): Activity {
  return {
    what: `upload of ${bytes / 1000} kB`,
    async run(lab) {
      const client = await lab.client();
      const { text } = await client.fetch(lab.site, { method: 'POST', path: '/upload', upload: { bytes } });
      assert.deepEqual(JSON.parse(text!), { bytes, sha256: patternHash(bytes) });
    },
  };
}

function requests(count: number): Activity {
  return {
    what: `${count} short requests, a new connection each`,
    async run(lab) {
      const client = await lab.client();
      for (let i = 0; i < count; i++) {
        const { status } = await client.fetch(lab.site, { path: '/whoami' });
        assert.equal(status, 200);
      }
    },
  };
}

/** A fast one that is far, and a slow one that is farther: the paper's extremes (P13). */
const links: readonly { link: string; activities: readonly Activity[] }[] = [
  { link: '66ms,20mbit', activities: [download(5_000_000), upload(5_000_000), requests(10)] },
  { link: '300ms,0.0395mbit', activities: [download(60_000), upload(30_000), requests(3)] },
];

/** Of everything, so many seconds. */
async function timesOf(arm: Arm, link: string, activities: readonly Activity[]): Promise<number[]> {
  const lab = await Lab.up({ arm, link });
  try {
    const times: number[] = [];
    for (const activity of activities) {
      const start = performance.now();
      await activity.run(lab);
      times.push((performance.now() - start) / 1000);
    }
    return times;
  } finally {
    await lab.down();
  }
}

/**
 * Serves clients over slow links, both arms in turn, each in a lab of its own.
 *
 * @param rounds 1 or more; each takes about a minute and a half
 * @throws LabError when a lab does not come up; Error when something else arrives than was sent
 */
export async function measureLinks(rounds: number, seed: number, watcher: Watcher): Promise<LinkFigures[]> {
  const random = randomFrom(seed);
  const found = links.flatMap(({ link, activities }) =>
    activities.map(({ what }) => ({ link, what, forward: [] as number[], resplice: [] as number[] })),
  );
  for (let round = 1; round <= rounds; round++) {
    for (const { link, activities } of links) {
      for (const arm of shuffled(arms, random)) {
        watcher.signal?.throwIfAborted();
        watcher.progress?.(`round ${round} of ${rounds}: over ${link}, ${arm}`);
        const times = await timesOf(arm, link, activities);
        for (const [i, { what }] of activities.entries())
          found.find(each => each.link === link && each.what === what)![arm].push(times[i]!);
      }
    }
  }
  return found;
}

/** Resplice's time to plain forwarding's, round by round. */
export function ratiosOf({ forward, resplice }: LinkFigures): number[] {
  return pairwise(resplice, forward, (ours, theirs) => ours / theirs);
}

export function isFast(figures: LinkFigures): boolean {
  return median(ratiosOf(figures)) <= MOST_OVER_LINK;
}
