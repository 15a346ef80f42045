/** The webmail on several back ends: who is logged in stays so, and a letter is sent once, whoever dies when. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { type Answer, type RawClient, Tier } from '@resplice/backend-kit/testing';
import { Database, DEMO_DOMAIN, DEMO_PASSWORD } from '@resplice/mailstore';
import { until } from '@resplice/service-kit/testing';
import { listenerSchema } from '@resplice/site-config';
import { pino } from 'pino';
import { buildWebmail } from '../src/app.ts';
import { find, Person } from '../testing/person.ts';
import { KEY, Stand } from '../testing/stand.ts';

/** As `resplice.yaml` has it for the webmail. */
const site = {
  listeners: [
    listenerSchema.parse({
      name: 'web',
      port: 80,
      routes: [
        { match: { pathPrefix: '/assets' }, tags: { deterministic: true }, pool: 'web' },
        { match: { methods: ['POST'] }, tags: { kind: 'update' }, journal: 'response', pool: 'web' },
        { match: {}, pool: 'web' },
      ],
    }),
  ],
  timeoutClasses: {},
};

let stand: Stand;
let tier: Tier;
const databases: Database[] = [];
before(async () => {
  // Its own webmail has no kit; all share the database and the SMTP server, which is told whose transactions it gets.
  stand = await Stand.start({ smtp: { proxies: ['127.0.0.1'] } });
});
after(async () => await stand?.close());
beforeEach(async () => {
  tier = await Tier.of(
    3,
    async (kit, name) => {
      const database = new Database({ connection: stand.db.cluster.address, applicationName: name });
      databases.push(database);
      return await buildWebmail({
        database,
        kit,
        submission: { host: '127.0.0.1', port: stand.smtpPort, delegationKey: KEY },
        sessionSecret: 'a secret that the stand alone uses, and nobody else',
        log: pino({ level: 'silent' }),
      });
    },
    site,
  );
});
afterEach(async () => {
  await tier?.close();
  for (const database of databases.splice(0)) await database.close();
});

const urlOf = (i: number) => `http://${tier.node(i).address}:8080`;

async function post(
  client: RawClient,
  path: string,
  fields: Record<string, string>,
  cookie = '',
): Promise<Answer> {
  const type = {
    'Content-Type': 'application/x-www-form-urlencoded',
    ...(cookie === '' ? {} : { Cookie: cookie }),
  };
  return await client.ask('POST', path, type, new URLSearchParams(fields).toString());
}

/** Logs in at a back end. */
async function login(i: number, name: string, connection = tier.connection()): Promise<Answer> {
  const fields = { address: `${name}@${DEMO_DOMAIN}`, password: DEMO_PASSWORD, next: '' };
  return await post(await tier.client(i, connection), '/login', fields);
}

function cookieOf(answer: Answer): string {
  assert.equal(answer.status, 303, answer.text);
  return answer.all('set-cookie')[0]!.split(';')[0]!;
}

/** The same person, at another back end. */
function personAt(i: number, cookie: string): Person {
  const person = new Person(urlOf(i));
  const [name = '', value = ''] = cookie.split('=');
  person.cookies.set(name, value);
  return person;
}

const byPerson = async (i: number, cookie: string, subject: string) =>
  (await personAt(i, cookie).list('sent', `?q=${subject}`)).length;

async function received(name: string, subject: string): Promise<number> {
  const reader = new Person(urlOf(3));
  await reader.login(name);
  return (await reader.list('inbox', `?q=${subject}`)).length;
}

suite('a session', () => {
  test('goes on at another back end when the one that began it dies, and ends everywhere', async () => {
    const cookie = cookieOf(await login(1, 'ada'));
    await tier.crash(1);
    const ada = personAt(2, cookie);
    assert.match((await ada.get('/mail/inbox')).url, /inbox$/);
    const client = await tier.client(2);
    const goodbye = await post(client, '/logout', { csrf: await ada.token() }, cookie);
    assert.match(goodbye.all('location')[0]!, /goodbye/);
    assert.match((await personAt(3, cookie).get('/mail/inbox')).url, /login/);
  });

  test('that a login began is the same when its answer comes from the record', async () => {
    const connection = tier.connection();
    const first = await login(1, 'ben', connection);
    await tier.crash(1);
    const successor = await tier.takeOver(2, connection);
    const again = await post(successor, '/login', {
      address: `ben@${DEMO_DOMAIN}`,
      password: DEMO_PASSWORD,
      next: '',
    });
    assert.equal(again.bytes.toString(), first.bytes.toString());
  });
});

suite('a new password', () => {
  test('is set once, and its page and session are good when its first answer was lost', async () => {
    const cookie = cookieOf(await login(1, 'chloe'));
    const other = cookieOf(await login(2, 'chloe'));
    const change = async (client: RawClient, current: string, wanted: string) => {
      const csrf = await personAt(3, cookie).token();
      return await post(client, '/settings/password', { csrf, current, wanted, again: wanted }, cookie);
    };
    tier.cut(1);
    await until('the cut', () => tier.kit(1).status.alternate === null);
    const connection = tier.connection();
    const csrf = await personAt(3, cookie).token();
    const fields = { csrf, current: DEMO_PASSWORD, wanted: 'a new password', again: 'a new password' };
    const path = '/settings/password';
    const lost = await post(await tier.client(1, connection), path, fields, cookie);
    assert.match(lost.all('location')[0]!, /notice=password$/);
    await tier.crash(1);
    const successor = await tier.takeOver(2, connection);
    const again = await post(successor, path, fields, cookie);
    assert.equal(again.status, 303, again.text);
    assert.match(again.all('location')[0]!, /notice=password$/);
    assert.match((await personAt(3, cookie).get('/mail/inbox')).url, /inbox$/);
    assert.match((await personAt(3, other).get('/mail/inbox')).url, /login/, 'other sessions have ended');
    const back = await change(await tier.client(2), 'a new password', DEMO_PASSWORD);
    assert.match(back.all('location')[0]!, /notice=password$/);
    const wrong = await change(await tier.client(2), 'a new password', 'another one');
    assert.match(wrong.text, /is another one/);
  });
});

suite('a letter', () => {
  /** Everything that a browser posts to send it. */
  async function written(
    cookie: string,
    subject: string,
  ): Promise<{ path: string; fields: Record<string, string> }> {
    const { action, fields } = await personAt(3, cookie).open();
    return {
      path: action,
      fields: { ...fields, recipients: `chloe@${DEMO_DOMAIN}`, subject, body: 'once', action: 'send' },
    };
  }

  test('is sent once when the back end dies after the answer has begun', async () => {
    const cookie = cookieOf(await login(1, 'ada'));
    const { path, fields } = await written(cookie, 'begun');
    const connection = tier.connection();
    const first = await post(await tier.client(1, connection), path, fields, cookie);
    assert.match(first.all('location')[0]!, /notice=sent$/);
    await tier.crash(1);
    const again = await post(await tier.takeOver(2, connection), path, fields, cookie);
    assert.equal(again.bytes.toString(), first.bytes.toString());
    assert.deepEqual([await received('chloe', 'begun'), await byPerson(2, cookie, 'begun')], [1, 1]);
  });

  test('is sent once when the back end freezes before its answer, and thaws', async () => {
    const cookie = cookieOf(await login(1, 'ada'));
    const { path, fields } = await written(cookie, 'frozen');
    const connection = tier.connection();
    const frozen = await tier.client(1, connection);
    // The successor takes over while the first run is under way: whichever effect is first counts, once.
    const late = post(frozen, path, fields, cookie).catch((error: Error) => error);
    const successor = await tier.takeOver(2, connection);
    const answer = await post(successor, path, fields, cookie);
    assert.match(answer.all('location')[0]!, /notice=sent$/);
    const told = await late;
    // The frozen one's answer either was first, and is the same, or is none.
    if (!(told instanceof Error)) assert.equal(told.bytes.toString(), answer.bytes.toString());
    assert.deepEqual([await received('chloe', 'frozen'), await byPerson(2, cookie, 'frozen')], [1, 1]);
  });

  test('that is being written has the same key wherever the form is made', async () => {
    const cookie = cookieOf(await login(1, 'ada'));
    const connection = tier.connection();
    const keys = [];
    for (const i of [1, 2]) {
      const client = await tier.client(i, connection);
      keys.push(
        find((await client.ask('GET', '/compose', { Cookie: cookie })).text, /action="\/draft\/([^"]+)"/),
      );
    }
    assert.equal(keys[0], keys[1]);
  });
});
