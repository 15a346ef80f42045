/** One mail per transaction, whoever dies when: real SMTP server, real database, nodemailer. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { delegatedPassword, seedDemo } from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { until } from '@resplice/service-kit/testing';
import { SmtpService } from '@resplice/smtp';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { type CallerOptions, dial, LoggerProcess, Talker, Way } from './fixture.ts';

const KEY = 'a key for these tests, long enough for it';
const ADA = 'ada@resplice.example';
const BEN = 'ben@resplice.example';
const CHLOE = 'chloe@resplice.example';
const PASSWORD = delegatedPassword(KEY, ADA);
const LOGIN = Buffer.from(`\0${ADA}\0${PASSWORD}`).toString('base64');

/** What the server logs. */
const lines: { msg: string; messageId?: string }[] = [];
let db: TestDatabase;
let service: SmtpService;
let way: Way;
let logger: LoggerProcess;
before(async () => {
  db = await testDatabase();
  await seedDemo(db.database);
  service = new SmtpService({
    database: db.database,
    domain: 'resplice.example',
    delegationKey: KEY,
    proxies: ['127.0.0.1'],
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
  });
  way = await Way.to(await service.listen(0, '127.0.0.1'));
  logger = await LoggerProcess.start({ protocol: 'smtp', upstream: way.port });
});
after(async () => {
  await logger?.remove();
  await way?.close();
  await service?.close();
  await db?.close();
});

const message = (id: string): string =>
  `From: ${ADA}\r\nTo: ${BEN}\r\nSubject: s\r\nMessage-ID: <${id}@resplice.example>\r\n\r\nfirst\r\n..\r\nlast\r\n`;

/** How often each recipient has it, and that it is whole. */
async function delivered(id: string): Promise<Record<string, number>> {
  const rows = await db.database.query<{ address: string; raw: Buffer }>(
    `select a.address, c.raw from messages m join accounts a on a.id = m.account_id
       join contents c on c.id = m.content_id where folder = 'inbox' and message_id = $1`,
    [`<${id}@resplice.example>`],
  );
  const count: Record<string, number> = {};
  for (const { address, raw } of rows) {
    assert.match(String(raw), /first\r\n\.\r\nlast\r\n$/);
    count[address] = (count[address] ?? 0) + 1;
  }
  return count;
}

/** How often the server has had all of it: it delivers what it has had before to nobody, but that is its merit, not the logger's. */
function received(id: string): number {
  return lines.filter(({ msg, messageId }) => msg === 'received' && messageId === `<${id}@resplice.example>`)
    .length;
}

interface Sent {
  readonly response: string;
  readonly rejected: readonly string[];
}

/** A back end that runs the transaction to its end. */
async function send(options: CallerOptions, to: readonly string[] = [BEN, CHLOE]): Promise<Sent> {
  const connection = await dial(logger.port, options);
  const transport = createTransport({
    connection,
    ignoreTLS: true,
    auth: { user: ADA, pass: PASSWORD },
    socketTimeout: 10_000,
  });
  // nodemailer doubles the dots.
  const raw = message(options.transaction).replace('\r\n..\r\n', '\r\n.\r\n');
  const sent = await transport.sendMail({ envelope: { from: ADA, to: [...to] }, raw });
  return { response: sent.response, rejected: sent.rejected.map(String) };
}

type Step = (talker: Talker, id: string) => Promise<void> | void;

/** What a back end does, in order. It can stop after each of these. */
const steps: readonly (readonly [string, Step])[] = [
  ['connected', () => {}],
  ['greeted', talker => talker.hear(220)],
  ['EHLO sent', talker => talker.say('EHLO backend-1\r\n')],
  ['EHLO answered', talker => talker.hear(250)],
  ['AUTH sent', talker => talker.say(`AUTH PLAIN ${LOGIN}\r\n`)],
  ['AUTH answered', talker => talker.hear(235)],
  ['MAIL sent', talker => talker.say(`MAIL FROM:<${ADA}>\r\n`)],
  ['MAIL answered', talker => talker.hear(250)],
  [
    'first RCPT answered',
    async talker => {
      talker.say(`RCPT TO:<${BEN}>\r\n`);
      await talker.hear(250);
    },
  ],
  ['second RCPT sent', talker => talker.say(`RCPT TO:<${CHLOE}>\r\n`)],
  ['second RCPT answered', talker => talker.hear(250)],
  ['DATA sent', talker => talker.say('DATA\r\n')],
  ['DATA answered', talker => talker.hear(354)],
  [
    'half of the content sent',
    async (talker, id) => {
      talker.say(message(id).slice(0, -10));
      await until('it to arrive', () => way.sent.includes(`<${id}@`));
    },
  ],
  ['the content sent', (talker, id) => talker.say(message(id).slice(-10))],
  ['the dot sent', talker => talker.say('.\r\n')],
  ['the dot answered', talker => talker.hear(250)],
  ['QUIT sent', talker => talker.say('QUIT\r\n')],
];

/** A back end that has come that far with its transaction. */
async function predecessor(id: string, until: number): Promise<Talker> {
  const talker = await Talker.dial(logger.port, { transaction: id });
  for (const [, step] of steps.slice(0, until + 1)) await step(talker, id);
  return talker;
}

/** What it would have done next, had it not been stopped. It waits for nothing: nobody answers it. */
async function rest(talker: Talker, id: string, from: number): Promise<void> {
  const said: string[] = [];
  const recorder = { say: (text: string) => void said.push(text), hear: async () => {} } as unknown as Talker;
  for (const [name, step] of steps.slice(from + 1)) {
    if (name === 'half of the content sent') said.push(message(id).slice(0, -10));
    else await step(recorder, id);
  }
  for (const text of said) talker.say(text);
}

suite('delivered exactly once', () => {
  let number = 0;
  for (const [at, [where]] of steps.entries()) {
    test(`predecessor closes: ${where}`, async () => {
      const id = `close-${number++}`;
      const dead = await predecessor(id, at);
      dead.socket.destroy();
      const { response } = await send({ transaction: id, backend: 'backend-2', attempt: 1 });
      assert.match(response, /^250/);
      assert.deepEqual([await delivered(id), received(id)], [{ [BEN]: 1, [CHLOE]: 1 }, 1]);
    });

    test(`predecessor is frozen and takes up again: ${where}`, async () => {
      const id = `freeze-${number++}`;
      const frozen = await predecessor(id, at);
      frozen.socket.pause();
      const { response } = await send({ transaction: id, backend: 'backend-2', attempt: 1 });
      assert.match(response, /^250/);
      frozen.socket.resume();
      await rest(frozen, id, at);
      await frozen.over();
      // Coming again does not help it either.
      const again = await Talker.dial(logger.port, { transaction: id });
      await again.over();
      assert.equal(again.heard, '');
      assert.deepEqual([await delivered(id), received(id)], [{ [BEN]: 1, [CHLOE]: 1 }, 1]);
    });

    test(`the logger is killed and starts again: ${where}`, async () => {
      const id = `restart-${number++}`;
      const talker = await predecessor(id, at);
      await logger.kill();
      await talker.over();
      await logger.start();
      const { response } = await send({ transaction: id });
      assert.match(response, /^250/);
      assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
    });
  }

  test('the dot is answered by nobody yet, and the predecessor dies: the successor gets its answer', async () => {
    const id = 'held';
    const talker = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'the content sent'),
    );
    way.hold();
    talker.say('.\r\n');
    await until('it to be delivered', async () => (await delivered(id))[BEN] === 1);
    talker.socket.destroy();
    const before = way.connections;
    const sent = send({ transaction: id, backend: 'backend-2', attempt: 1 });
    await until('the successor to come', async () => (await logger.count('takeovers')) > 0);
    way.release();
    assert.match((await sent).response, /^250/);
    assert.equal(way.connections, before, 'the server heard of it once');
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });

  test('the dot is delivered, not recorded, and the logger killed: it is sent again, and delivered once', async () => {
    const id = 'doubt';
    const talker = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'the content sent'),
    );
    way.hold();
    talker.say('.\r\n');
    await until('it to be delivered', async () => (await delivered(id))[BEN] === 1);
    await logger.kill();
    way.release();
    await logger.start();
    assert.equal(await logger.count('in_doubt'), 1);
    assert.match((await send({ transaction: id, backend: 'backend-2', attempt: 1 })).response, /^250/);
    assert.equal(await logger.count('in_doubt_repeated'), 1);
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });

  test('the server’s connection breaks between two commands: the envelope is said again', async () => {
    const id = 'lost';
    const at = steps.findIndex(([name]) => name === 'second RCPT answered');
    const talker = await predecessor(id, at);
    const before = await logger.count('envelopes_replayed');
    way.cut();
    talker.say('DATA\r\n');
    await talker.hear(354);
    talker.say(`${message(id)}.\r\n`);
    await talker.hear(250);
    assert.equal(await logger.count('envelopes_replayed'), before + 1);
    talker.socket.destroy();
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });

  test('the server’s connection breaks, and the back end dies: its successor begins again, by its own name', async () => {
    const id = 'both-lost';
    const dead = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'first RCPT answered'),
    );
    dead.socket.destroy();
    way.cut();
    const from = way.sent.length;
    assert.match((await send({ transaction: id, backend: 'backend-2', attempt: 1 })).response, /^250/);
    const heard = way.sent.slice(from);
    assert.match(heard, /EHLO [\s\S]*AUTH [\s\S]*MAIL FROM[\s\S]*RCPT TO:<ben[\s\S]*RCPT TO:<chloe/);
    assert.doesNotMatch(heard, /EHLO backend-1/);
    assert.deepEqual([await delivered(id), received(id)], [{ [BEN]: 1, [CHLOE]: 1 }, 1]);
  });

  test('the server’s connection breaks behind the dot: no answer is given, and the next attempt delivers once', async () => {
    const id = 'lost-dot';
    const talker = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'the content sent'),
    );
    way.hold();
    talker.say('.\r\n');
    await until('it to be delivered', async () => (await delivered(id))[BEN] === 1);
    way.cut();
    way.release();
    await talker.over();
    assert.equal(talker.heard, '');
    assert.match((await send({ transaction: id })).response, /^250/);
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });
});

test('a dot that is answered with 421 is in doubt: no answer is given, before and after a restart', async () => {
  const id = 'farewell';
  const talker = await predecessor(
    id,
    steps.findIndex(([name]) => name === 'the content sent'),
  );
  way.replaceNext('421 4.3.2 I am going down\r\n');
  talker.say('.\r\n');
  await talker.over();
  assert.equal(talker.heard, '', 'a refusal would be told to the sender, and it is delivered');
  assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  await logger.kill();
  await way.away();
  await logger.start();
  const early = await Talker.dial(logger.port, { transaction: id, backend: 'backend-2', attempt: 1 });
  await early.over();
  assert.equal(early.heard, '');
  await way.back();
  assert.match((await send({ transaction: id, backend: 'backend-2', attempt: 1 })).response, /^250/);
  assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
});

suite('envelopes in one go', () => {
  const envelope = (to: readonly string[]): string =>
    `MAIL FROM:<${ADA}>\r\n${to.map(each => `RCPT TO:<${each}>\r\n`).join('')}DATA\r\n`;
  const loggedIn = steps.findIndex(([name]) => name === 'AUTH answered');

  test('whose sender dies before anything is answered', async () => {
    const id = 'batch';
    const talker = await predecessor(id, loggedIn);
    way.hold();
    const from = way.sent.length;
    talker.say(envelope([BEN, CHLOE]));
    await until('the server to hear all of it', () => way.sent.slice(from).includes('DATA\r\n'));
    talker.socket.destroy();
    const sent = send({ transaction: id, backend: 'backend-2', attempt: 1 });
    way.release();
    assert.match((await sent).response, /^250/);
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });

  test('of whose recipients there is none: refused, and the next one is taken', async () => {
    const id = 'batch-refused';
    const talker = await predecessor(id, loggedIn);
    talker.say(envelope(['nobody@resplice.example', 'nemo@resplice.example']));
    await talker.hear(503);
    talker.say(`RSET\r\n${envelope([BEN])}`);
    await talker.hear(354);
    talker.say(`${message(id)}.\r\n`);
    await talker.hear(250);
    assert.deepEqual(await delivered(id), { [BEN]: 1 });
    talker.socket.destroy();
  });

  test('whose content comes with them, and looks like more of them', async () => {
    const id = 'batch-content';
    const talker = await predecessor(id, loggedIn);
    const from = way.sent.length;
    const line = `RCPT TO:<${CHLOE}>\r\n`;
    talker.say(`${envelope([BEN])}${line}${message(id)}.\r\n`);
    await talker.hear(354);
    await talker.hear(250);
    assert.equal(way.sent.slice(from).split(line).length - 1, 1);
    assert.deepEqual(await delivered(id), { [BEN]: 1 });
    talker.socket.destroy();
  });

  test('several messages on one connection, and the same again', async () => {
    const all = ['batch-1', 'batch-2'];
    const say = async (talker: Talker): Promise<void> => {
      for (const id of all) {
        talker.say(envelope([BEN, CHLOE]));
        await talker.hear(354);
        talker.say(`${message(id)}.\r\n`);
        await talker.hear(250);
      }
    };
    const first = await predecessor('several', loggedIn);
    await say(first);
    first.socket.destroy();
    const second = await Talker.dial(logger.port, {
      transaction: 'several',
      backend: 'backend-2',
      attempt: 1,
    });
    await second.hear(220);
    second.say(`EHLO x\r\nAUTH PLAIN\r\n`);
    await second.hear(334);
    second.say(`${LOGIN}\r\n`);
    await second.hear(235);
    await say(second);
    second.socket.destroy();
    for (const id of all) assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });
});

/** A reproducible sequence of numbers from 0 to 1 (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('delivered exactly once: many at a time, each cut or frozen at random, one to three times', async () => {
  const all = Array.from({ length: 60 }, (_, i) => `random-${i}`);
  const thaw: (() => void)[] = [];

  /** Says all that a back end says without waiting for answers, up to a random byte, then stops. */
  async function stopSomewhere(options: CallerOptions, chance: () => number): Promise<void> {
    const talker = await Talker.dial(logger.port, options);
    await talker.hear(220).catch(() => {});
    const parts = [
      `EHLO x\r\nAUTH PLAIN ${LOGIN}\r\nMAIL FROM:<${ADA}>\r\nRCPT TO:<${BEN}>\r\nRCPT TO:<${CHLOE}>\r\nDATA\r\n`,
      `${message(options.transaction)}.\r\nQUIT\r\n`,
    ];
    let left = Math.floor(chance() * 1.1 * parts.join('').length);
    for (const [i, part] of parts.entries()) {
      talker.say(part.slice(0, left));
      left -= part.length;
      if (left <= 0) break;
      if (i === 0) await talker.hear(354).catch(() => {});
    }
    if (chance() < 0.5) talker.socket.destroy();
    else {
      talker.socket.pause();
      thaw.push(() => {
        talker.socket.resume();
        for (const part of parts) talker.say(part);
        talker.socket.destroySoon();
      });
    }
  }

  await Promise.all(
    all.map(async (transaction, i) => {
      const chance = random(20_261_124 + i);
      const takeovers = 1 + Math.floor(chance() * 3);
      for (let attempt = 0; attempt < takeovers; attempt++) {
        const backend = attempt % 2 === 0 ? 'backend-1' : 'backend-2';
        await stopSomewhere({ transaction, attempt, backend }, chance);
      }
      const backend = takeovers % 2 === 0 ? 'backend-1' : 'backend-2';
      assert.match((await send({ transaction, backend, attempt: takeovers })).response, /^250/, transaction);
    }),
  );
  for (const each of thaw) each();
  await until(
    'the frozen ones to be gone',
    async () => (await logger.status()).services[0]!.connections === 0,
  );
  for (const id of all) {
    assert.deepEqual([await delivered(id), received(id)], [{ [BEN]: 1, [CHLOE]: 1 }, 1], id);
  }
});

test('delivered exactly once: the logger is killed three times while twenty send', async () => {
  const all = Array.from({ length: 20 }, (_, i) => Array.from({ length: 8 }, (_, k) => `killed-${i}-${k}`));
  let answered = 0;
  const users = all.map(async ids => {
    for (const transaction of ids) {
      await until(
        `${transaction} to be accepted`,
        () =>
          send({ transaction }).then(
            () => true,
            () => false,
          ),
        60_000,
      );
      answered++;
    }
  });
  for (const share of [0.2, 0.5, 0.8]) {
    await until('some to be sent', () => answered > share * all.flat().length, 60_000);
    await logger.kill();
    await logger.start();
  }
  await Promise.all(users);
  for (const id of all.flat()) assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 }, id);
  const again = all.flat().filter(id => received(id) > 1).length;
  // Each time, those whose dot was out and not answered.
  assert.ok(again <= 3 * users.length, `${again} sent again`);
});

suite('answered from the record', () => {
  const answered = steps.findIndex(([name]) => name === 'the dot answered');

  test('as far as the predecessor got, by one connection to the server', async () => {
    const id = 'record';
    const before = way.connections;
    const dead = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'first RCPT answered'),
    );
    dead.socket.destroy();
    const from = way.sent.length;
    // In another order, and greeted by another name.
    assert.match(
      (await send({ transaction: id, backend: 'backend-2', attempt: 1 }, [CHLOE, BEN])).response,
      /^250/,
    );
    assert.equal(way.connections, before + 1);
    const heard = way.sent.slice(from);
    assert.doesNotMatch(heard, /EHLO|AUTH|MAIL FROM|RCPT TO:<ben/);
    assert.match(heard, /RCPT TO:<chloe/);
  });

  test('an accepted message: nothing reaches the server, before and after a restart', async () => {
    const id = 'accepted';
    const dead = await predecessor(id, answered);
    dead.socket.destroy();
    const from = way.sent.length;
    const first = await send({ transaction: id, backend: 'backend-2', attempt: 1 });
    await logger.kill();
    await logger.start();
    const second = await send({ transaction: id, backend: 'backend-2', attempt: 2 });
    assert.deepEqual(first, second);
    assert.doesNotMatch(way.sent.slice(from), /EHLO|MAIL/);
    // What was taken over before the restart is still known after it.
    const old = await Talker.dial(logger.port, { transaction: id, backend: 'backend-1', attempt: 1 });
    await old.over();
    assert.equal(old.heard, '');
  });

  test('a record that cannot be read is none: sent again, delivered once', async () => {
    const id = 'unreadable';
    await send({ transaction: id });
    logger.spoilLog(`"transaction":"${id}"`);
    assert.match((await send({ transaction: id, backend: 'backend-2', attempt: 1 })).response, /^250/);
    assert.equal(await logger.count('unreadable'), 1);
    assert.deepEqual([await delivered(id), received(id)], [{ [BEN]: 1, [CHLOE]: 1 }, 2]);
  });

  test('recipients that were refused are refused again, for good or for now', async () => {
    const id = 'refused';
    const to = [BEN, 'nobody@resplice.example'];
    const first = await send({ transaction: id }, to);
    assert.deepEqual(first.rejected, ['nobody@resplice.example']);
    assert.deepEqual(await send({ transaction: id, backend: 'backend-2', attempt: 1 }, to), first);
    assert.deepEqual(await delivered(id), { [BEN]: 1 });
  });

  test('other recipients or another sender than on record: 451, and nothing is sent', async () => {
    const id = 'mismatch';
    const before = await logger.count('mismatches');
    const dead = await predecessor(id, answered);
    dead.socket.destroy();
    await assert.rejects(send({ transaction: id, backend: 'backend-2', attempt: 1 }, [BEN]), /451/);
    const begun = 'mismatch-begun';
    const half = await predecessor(
      begun,
      steps.findIndex(([name]) => name === 'second RCPT answered'),
    );
    half.socket.destroy();
    await assert.rejects(send({ transaction: begun, backend: 'backend-2', attempt: 1 }, [BEN]), /451/);
    assert.ok((await logger.count('mismatches')) >= before + 2);
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
    assert.deepEqual(await delivered(begun), {});
  });

  test('a message on no client’s behalf', async () => {
    assert.match((await send({ transaction: 'own', isOwn: true })).response, /^250/);
    assert.deepEqual([await delivered('own'), received('own')], [{ [BEN]: 1, [CHLOE]: 1 }, 1]);
  });

  test('while a message may have been accepted unknown to us, nobody is told that it was not', async () => {
    const id = 'silence';
    const talker = await predecessor(
      id,
      steps.findIndex(([name]) => name === 'the content sent'),
    );
    way.hold();
    talker.say('.\r\n');
    await until('it to be delivered', async () => (await delivered(id))[BEN] === 1);
    await logger.kill();
    way.release();
    await way.away();
    await logger.start();
    const early = await Talker.dial(logger.port, { transaction: id, backend: 'backend-2', attempt: 1 });
    await early.over();
    assert.equal(early.heard, '');
    // Another transaction may know.
    const other = await Talker.dial(logger.port, { transaction: 'silence-not', backend: 'backend-2' });
    await other.over();
    assert.match(other.heard, /^421 4\.4\.1 /);
    await way.back();
    assert.match((await send({ transaction: id, backend: 'backend-2', attempt: 1 })).response, /^250/);
    assert.deepEqual(await delivered(id), { [BEN]: 1, [CHLOE]: 1 });
  });

  test('another step and another transaction are other messages', async () => {
    await send({ transaction: 'steps', step: 0 });
    const from = way.sent.length;
    await send({ transaction: 'steps', step: 1 });
    assert.match(way.sent.slice(from), /MAIL FROM/);
  });

  test('nothing of a password is on the disk', () => {
    const log = logger.log();
    assert.ok(log.includes(ADA));
    for (const secret of [PASSWORD, LOGIN, LOGIN.slice(0, 20), Buffer.from(PASSWORD).toString('base64')]) {
      assert.ok(!log.includes(secret));
      assert.ok(!logger.output.includes(secret));
    }
  });
});

suite('who may speak', () => {
  test('a newer epoch of the back end cuts the older one', async () => {
    const old = await Talker.dial(logger.port, { transaction: 'epoch-a', epoch: 1000 });
    await old.hear(220);
    const next = await Talker.dial(logger.port, { transaction: 'epoch-b', epoch: 1001 });
    await next.hear(220);
    await old.over();
    assert.equal(old.heard, '');
    const again = await Talker.dial(logger.port, { transaction: 'epoch-a', epoch: 1000 });
    await again.over();
    assert.equal(again.heard, '');
    next.socket.destroy();
  });

  test('the same attempt from two back ends: the second is refused', async () => {
    const first = await Talker.dial(logger.port, { transaction: 'same', epoch: 1001 });
    await first.hear(220);
    const second = await Talker.dial(logger.port, { transaction: 'same', backend: 'backend-2' });
    await second.over();
    assert.equal(second.heard, '');
    first.socket.destroy();
  });

  test('a back end that connects again goes on where it was', async () => {
    const first = await Talker.dial(logger.port, { transaction: 'again', epoch: 1001 });
    await first.hear(220);
    assert.match((await send({ transaction: 'again', epoch: 1001 })).response, /^250/);
    await first.over();
    assert.deepEqual(await delivered('again'), { [BEN]: 1, [CHLOE]: 1 });
  });
});
