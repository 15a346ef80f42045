/** Sessions outlive the back end that made them, and end everywhere at once. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { Tier } from '../testing/index.ts';
import { application, World } from './application.ts';

let tier: Tier;
let world: World;
beforeEach(async () => {
  world = new World();
  tier = await Tier.start(3, application(world));
});
afterEach(async () => await tier?.close());

async function login(i: number, user = 'ada'): Promise<Record<string, string>> {
  const answer = await (await tier.client(i)).ask('POST', `/login?user=${user}`);
  return { Cookie: answer.all('set-cookie')[0]!.split(';')[0]! };
}

async function whoami(
  i: number,
  cookie: Record<string, string>,
): Promise<{ user: string | null; count: number }> {
  return JSON.parse((await (await tier.client(i)).ask('GET', '/whoami', cookie)).text);
}

suite('a session', () => {
  test('is at every back end when the answer that begins it is at the client', async () => {
    const cookie = await login(1);
    for (const i of [1, 2, 3]) assert.equal((await whoami(i, cookie)).user, 'ada');
    await tier.crash(1);
    for (const i of [2, 3]) assert.equal((await whoami(i, cookie)).user, 'ada');
  });

  test('changes at one back end and is read at another', async () => {
    const cookie = await login(1);
    for (const i of [2, 3, 1, 2]) await (await tier.client(i)).ask('POST', '/visit', cookie);
    for (const i of [1, 2, 3]) assert.equal((await whoami(i, cookie)).count, 4);
  });

  test('costs no message when it is only read', async () => {
    const cookie = await login(1);
    const before = tier.kit(1).counters.sessionChanges;
    for (let i = 0; i < 5; i++) {
      const answer = await (await tier.client(1)).ask('GET', '/whoami', cookie);
      // Saved at each answer, as the store's user wants it.
      assert.equal(answer.all('set-cookie').length, 1);
    }
    assert.equal(tier.kit(1).counters.sessionChanges, before);
  });

  test('that has ended is not brought back by a write that is late', async () => {
    const cookie = await login(1);
    world.shut();
    const slow = await tier.client(2);
    slow.send('POST', '/visit', cookie);
    await until('the slow request', () => world.runs.length === 2);
    const goodbye = await tier.client(1);
    goodbye.send('POST', '/logout', cookie);
    await until('the logout', () => world.runs.length === 3);
    world.open();
    await goodbye.answer();
    await slow.answer();
    // Whichever came first, it has ended, everywhere.
    await until('the end', async () => {
      const users = await Promise.all([1, 2, 3].map(async i => (await whoami(i, cookie)).user));
      return users.every(user => user === null);
    });
    await (await tier.client(3)).ask('POST', '/visit', cookie);
    for (const i of [1, 2, 3]) assert.equal((await whoami(i, cookie)).user, null);
  });

  test('ends everywhere also where nothing is journalled', async () => {
    const cookie = await login(1);
    await (await tier.client(2)).ask('GET', '/forget', cookie);
    for (const i of [1, 2, 3]) assert.equal((await whoami(i, cookie)).user, null);
  });

  test('changes with the journal or not at all: a logout that is run again finds who is logged in', async () => {
    const cookie = await login(1);
    world.shut();
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    client.send('POST', '/logout', cookie);
    await until('the session destroyed, the answer not made', () => world.runs.length === 2);
    for (const i of [1, 2, 3]) assert.equal((await whoami(i, cookie)).user, 'ada', 'nothing has left');
    const successor = await tier.takeOver(2, connection);
    world.open();
    assert.deepEqual(JSON.parse((await successor.ask('POST', '/logout', cookie)).text), { done: true });
    for (const i of [2, 3]) assert.equal((await whoami(i, cookie)).user, null);
    // Nobody waits for one that is said to have failed. If it is there after all, it is told when it is heard.
    await until('the predecessor told', async () => (await whoami(1, cookie)).user === null);
  });

  test('begins under the same id when the login is run again', async () => {
    world.shut();
    const connection = tier.connection();
    (await tier.client(1, connection)).send('POST', '/login?user=ada');
    await until('the first run', () => world.runs.length === 1);
    const successor = await tier.takeOver(2, connection);
    successor.send('POST', '/login?user=ada');
    await until('the second', () => world.runs.length === 2);
    world.open();
    const again = await successor.answer();
    const cookie = { Cookie: again.all('set-cookie')[0]!.split(';')[0]! };
    for (const i of [2, 3]) assert.equal((await whoami(i, cookie)).user, 'ada');
    await until('the predecessor told', async () => (await whoami(1, cookie)).user === 'ada');
    assert.equal(tier.kit(2).status.sessions.live, 1);
  });
});

suite('a back end that comes back', () => {
  test('knows every session before it takes requests, the ended ones too', async () => {
    const cookies = [];
    for (let i = 0; i < 20; i++) cookies.push(await login(1, `user-${i}`));
    await (await tier.client(1)).ask('POST', '/logout', cookies[0]);
    await tier.crash(2);
    cookies.push(await login(3, 'user-20'));
    await tier.restart(2);
    assert.deepEqual(tier.kit(2).status.sessions, { live: 20, destroyed: 1 });
    assert.equal((await whoami(2, cookies[20]!)).user, 'user-20');
    assert.equal((await whoami(2, cookies[0]!)).user, null);
  });

  test('knows what began and ended while it was cut off, though whoever would have told it is dead', async () => {
    const before = await login(3, 'early');
    tier.cut(1);
    await until('the cut', () => tier.kit(1).status.peers.every(({ up }) => !up));
    const connections = [tier.connection(), tier.connection()] as const;
    const [first, second] = await Promise.all(connections.map(each => tier.client(2, each)));
    const answer = await first!.ask('POST', '/login?user=late');
    const cookie = { Cookie: answer.all('set-cookie')[0]!.split(';')[0]! };
    await second!.ask('POST', '/logout', before);
    // Their records are forgotten by then, so nobody passes on what was in them.
    const transactions = connections.map(each => tier.id(each, 0));
    for (const i of [2, 3]) assert.ok((await tier.logger(i)).tell({ type: 'commit', transactions }));
    await until('the records to go', () => tier.kit(3).status.journals.held === 0);
    await tier.crash(2);
    tier.heal(1);
    await until('the session', async () => (await whoami(1, cookie)).user === 'late');
    assert.equal((await whoami(1, before)).user, null);
  });

  test('gets the sessions back from those who had none but theirs', async () => {
    const cookie = await login(1);
    for (const i of [2, 3]) {
      await tier.crash(i);
      await tier.restart(i);
      await tier.joined();
    }
    await tier.crash(1);
    for (const i of [2, 3]) assert.equal((await whoami(i, cookie)).user, 'ada');
  });
});
