/** Both clients at the webmail itself: what they fetch, how, and what a person does when something breaks. */
import assert from 'node:assert/strict';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { DEMO_PASSWORD } from '@resplice/mailstore';
import { type Browser, chromium } from 'playwright';
import { Person as Reader } from '../../../apps/webmail/testing/person.ts';
import { Stand } from '../../../apps/webmail/testing/stand.ts';
import { type Acted, act, type Part } from '../../src/paper/act.ts';
import { ChromiumVisitor } from '../../src/paper/chromium-visitor.ts';
import { instrument } from '../../src/paper/instrument.ts';
import { PaperVisitor } from '../../src/paper/paper-visitor.ts';
import type { Manners } from '../../src/paper/person.ts';
import { type Action, scaled, weights } from '../../src/paper/reference.ts';
import type { Progress } from '../../src/paper/visitor.ts';

type Meddle = (request: IncomingMessage, response: ServerResponse) => boolean;

let stand: Stand;
let browser: Browser;
let connections = 0;
/** Sees each request first; what it says true to is lost. */
let meddle: Meddle = () => false;

before(async () => {
  stand = await Stand.start();
  const { server } = stand.app as { server: Server };
  instrument(server);
  const emit = server.emit.bind(server) as (event: string, ...rest: unknown[]) => boolean;
  const meddling = (event: string, ...rest: unknown[]): boolean => {
    const isLost = event === 'request' && meddle(rest[0] as IncomingMessage, rest[1] as ServerResponse);
    return isLost || emit(event, ...rest);
  };
  server.emit = meddling as typeof server.emit;
  server.on('connection', () => connections++);
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: false });
});
after(async () => {
  await browser?.close();
  await stand?.close();
});

const SCALE = 0.5;
/** A busy machine may take seconds for a login. */
const MANNERS = { reactionMs: 50, patienceMs: 15_000, mostReloads: 3 };
const IMPATIENT = { ...MANNERS, patienceMs: 4000 };
let letters = 0;

function partOf(action: Action, manners: Manners): Part & { letter: { subject: string } } {
  return {
    action,
    manners,
    account: { address: 'ada@resplice.example', password: DEMO_PASSWORD },
    letter: { recipients: 'ben@resplice.example', subject: `Drill ${++letters}`, body: 'Once.' },
  };
}

interface Seen {
  readonly acted: Acted;
  readonly progress: readonly Progress[];
  readonly subject: string;
  readonly fromCache: number;
}

async function by(client: 'paper' | 'chromium', action: Action, manners = MANNERS): Promise<Seen> {
  const part = partOf(action, manners);
  const progress: Progress[] = [];
  const see = (each: Progress): void => void progress.push(each);
  const common = {
    origin: stand.url,
    token: `test-${letters}`,
    patienceMs: manners.patienceMs,
    progress: see,
  };
  const { subject } = part.letter;
  if (client === 'chromium') {
    const visitor = await ChromiumVisitor.start(browser, { ...common, pageMs: 1 });
    const acted = await act(visitor, part);
    return { acted, progress, subject, fromCache: visitor.fromCache };
  }
  // No server time: these are tests, not figures.
  const weight = { ...scaled(weights[action], SCALE), serverMs: 1 };
  const acted = await act(new PaperVisitor({ ...common, action, weight }), part);
  return { acted, progress, subject, fromCache: 0 };
}

async function deliveries(subject: string): Promise<number> {
  const ben = await Reader.loggedIn(stand.url, 'ben');
  const { text } = await ben.get('/mail/inbox');
  return text.split(`<span class="subject">${subject}</span>`).length - 1;
}

function quietly({ acted }: Seen): void {
  const { gaveUp, noticed, reloads, repeatedLogins, wrongAnswers } = acted;
  assert.deepEqual([gaveUp, noticed, reloads, repeatedLogins, wrongAnswers], [null, [], 0, 0, 0]);
}

/** Meddles with the nth request that fits, and lets all others through. @returns how many fitted */
function once(fits: (request: IncomingMessage) => boolean, how: Meddle, nth = 1): () => number {
  let found = 0;
  meddle = (request, response) => fits(request) && ++found === nth && how(request, response);
  return () => found;
}

const broken: Meddle = request => {
  request.socket.destroy();
  return true;
};

suite('a client like the paper’s', () => {
  test('action 1: the calibrated number of objects and bytes, one after the other, a connection each', async () => {
    const before = connections;
    const seen = await by('paper', 'action1');
    quietly(seen);
    const { requests } = seen.acted;
    const { objects, bytes } = scaled(weights.action1, SCALE);
    assert.equal(requests.length, objects);
    assert.equal(connections - before, objects);
    assert.equal(new Set(requests.map(({ connection }) => connection)).size, objects);
    const sum = requests.reduce((all, each) => all + each.bytes, 0);
    assert.ok(Math.abs(sum / (objects * bytes) - 1) < 0.001, String(sum));
    for (const [index, { start }] of requests.entries()) {
      if (index > 0) assert.ok(start >= requests[index - 1]!.end, `request ${index} overlaps`);
    }
    const paths = requests.map(({ path }) => path.replace(/\?.*/, ''));
    for (const own of ['/login', '/assets/style.css', '/assets/inter.woff2', '/assets/valley.svg']) {
      assert.ok(paths.includes(own), own);
    }
    assert.ok(!paths.includes('/assets/inter-ext.woff2'));
    const slow = seen.progress.filter(each => each.slow);
    assert.ok(
      slow.length >= 6 && slow.some(({ completed }) => completed >= objects / 2),
      String(slow.length),
    );
  });

  test('action 2: logs in, sends, logs out, in the calibrated number of requests; the letter is there once', async () => {
    const seen = await by('paper', 'action2');
    quietly(seen);
    // At half the scale the pages' own objects are about all there is; never fewer.
    const { objects } = scaled(weights.action2, SCALE);
    assert.ok(seen.acted.requests.length >= objects, String(seen.acted.requests.length));
    assert.equal(await deliveries(seen.subject), 1);
    assert.deepEqual(
      [...new Set(seen.progress.filter(each => each.slow).map(({ step }) => step))],
      ['log in', 'draft', 'send', 'log out'],
    );
  });
});

suite('Chromium', () => {
  test('action 1: a cold cache, every object of the page', async () => {
    for (let time = 0; time < 2; time++) {
      const seen = await by('chromium', 'action1');
      quietly(seen);
      assert.equal(seen.fromCache, 0, 'nothing came out of a cache');
      const paths = seen.acted.requests.map(({ path }) => path.replace(/\?.*/, ''));
      for (const own of ['/login', '/assets/style.css', '/assets/login.css', '/assets/valley.svg']) {
        assert.ok(paths.includes(own), `${own} in ${paths}`);
      }
      assert.ok(seen.acted.requests.every(({ status, bytes }) => status === 200 && bytes > 0));
      const used = new Set(seen.acted.requests.map(({ connection }) => connection));
      assert.ok(!used.has(null) && used.size <= 6, `${[...used]}`);
    }
  });

  test('action 2: the same forms, and the letter is there once', async () => {
    const seen = await by('chromium', 'action2');
    quietly(seen);
    assert.equal(await deliveries(seen.subject), 1);
    assert.ok(seen.progress.some(({ step, slow }) => step === 'send' && slow));
  });

  test('a letter is sent while its draft is being saved: that the address becomes the draft’s is no answer', async () => {
    const { account, letter } = partOf('action2', MANNERS);
    const options = { origin: stand.url, token: 'saving', patienceMs: MANNERS.patienceMs, pageMs: 1 };
    const visitor = await ChromiumVisitor.start(browser, { ...options, progress: () => {} });
    try {
      await visitor.open('/login', false);
      await visitor.submit({
        action: '/login',
        fields: { address: account.address, password: account.password },
      });
      await visitor.open('/compose', false);
      let release = () => {};
      const saving = new Promise<void>(resolve => {
        meddle = (request, response) => {
          if (!request.url?.endsWith('/autosave')) return false;
          meddle = () => false;
          release = () => void stand.app.server.emit('request', request, response);
          resolve();
          return true;
        };
      });
      const [page] = browser.contexts().at(-1)!.pages();
      for (const [name, value] of Object.entries(letter)) await page!.locator(`[name="${name}"]`).fill(value);
      await saving;
      const sent = visitor.submit({ action: '/draft/', fields: {}, button: 'send' });
      await page!.getByText('Sending…').waitFor();
      release();
      await sent;
      assert.equal(visitor.path(), '/mail/sent');
    } finally {
      await visitor.close();
    }
    assert.equal(await deliveries(letter.subject), 1);
  });
});

for (const client of ['paper', 'chromium'] as const) {
  suite(`a person with ${client === 'paper' ? 'that client' : 'Chromium'}`, { concurrency: false }, () => {
    after(() => {
      meddle = () => false;
    });

    test('reloads when an object breaks', async () => {
      const fitting = once(({ url }) => url!.startsWith('/assets/login.css'), broken);
      const { acted } = await by(client, 'action1');
      // Chromium asks once more by itself, on a new connection, when one that it had kept was closed.
      if (client === 'chromium' && acted.reloads === 0) {
        assert.equal(fitting(), 2);
        return;
      }
      assert.deepEqual([acted.gaveUp, acted.reloads, acted.noticed.length], [null, 1, 1]);
      assert.match(acted.noticed[0]!.detail, /^connect: .*login\.css/);
      assert.equal(acted.noticed[0]!.what, 'error');
    });

    for (const what of ['/login', '/assets/style.css']) {
      test(`waits in silence for ${what}, and reloads`, async () => {
        once(
          ({ url }) => url!.startsWith(what),
          () => true,
        );
        const { acted } = await by(client, 'action1', IMPATIENT);
        assert.deepEqual([acted.gaveUp, acted.reloads], [null, 1], JSON.stringify(acted.noticed));
        assert.equal(acted.noticed[0]!.what, 'silence');
        const took = acted.endedAt - acted.startedAt;
        assert.ok(took >= IMPATIENT.patienceMs && took < 5 * IMPATIENT.patienceMs, String(took));
      });
    }

    test('looks whether a letter went off before sending it again, and it did not', async () => {
      once(
        ({ url, method }) => method === 'POST' && url!.startsWith('/draft/'),
        (_, response) => {
          response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>');
          return true;
        },
      );
      const { acted, subject } = await by(client, 'action2');
      assert.deepEqual([acted.gaveUp, acted.reloads, acted.repeatedLogins], [null, 1, 0]);
      assert.equal(await deliveries(subject), 1);
    });

    test('is not bothered by what breaks before the action', async () => {
      const found = once(({ url }) => url === '/login', broken);
      quietly(await by(client, 'action2'));
      assert.ok(found() > 1);
    });

    test('logs in again when logged out in the middle', async () => {
      once(
        ({ url }) => url!.startsWith('/compose'),
        (request, response) => {
          response
            .writeHead(303, { location: '/login?next=/compose', 'set-cookie': 'session=; Path=/' })
            .end();
          request.resume();
          return true;
        },
      );
      const { acted, subject } = await by(client, 'action2');
      // The cookie is gone in the browser, too: an empty one is one that nobody knows.
      assert.deepEqual([acted.gaveUp, acted.noticed[0]?.what, acted.repeatedLogins], [null, 'logged-out', 1]);
      assert.equal(await deliveries(subject), 1);
    });

    test('gives up a site that never answers well', async () => {
      meddle = (_, response) => {
        response.writeHead(503, { 'content-type': 'text/html' }).end('<html>Away</html>');
        return true;
      };
      const { acted } = await by(client, 'action1');
      assert.match(acted.gaveUp ?? '', /503/);
      assert.equal(acted.reloads, MANNERS.mostReloads);
    });
  });
}
