import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { rendezvous } from '@resplice/site-config';
import { Backends } from '@resplice/splice';
import type { RequestHead } from '../src/head.ts';
import { Pool } from '../src/pool.ts';

let backends: Backends;
let pool: Pool;

beforeEach(() => {
  backends = new Backends(
    [1, 2, 3].map(id => ({ name: `backend-${id}`, id, address: `10.64.0.1${id}`, port: 8080 })),
  );
  for (const backend of backends.all) backend.up = true;
  pool = new Pool('web', backends.all, 'session');
});

const set = (ids: number[]) => new Set(ids.map(id => backends.byId(id)!));
const chosen = (...tried: number[]) => pool.choose(set(tried))?.id;
const chosenFor = (session: string, ...tried: number[]) => pool.choose(set(tried), session)?.id;

test('the least loaded is chosen', () => {
  for (const [id, active] of [
    [1, 5],
    [2, 3],
    [3, 4],
  ] as const) {
    backends.byId(id)!.active = active;
  }
  assert.deepEqual([chosen(), chosen(2), chosen(2, 3), chosen(1, 2, 3)], [2, 3, 1, undefined]);
});

test('equals take turns', () => {
  assert.deepEqual(new Set([chosen(), chosen(), chosen()]), new Set([1, 2, 3]));
});

test('who is down comes last, but before a refusal', () => {
  backends.byId(1)!.up = false;
  backends.byId(2)!.active = 100;
  backends.byId(3)!.active = 200;
  assert.deepEqual([chosen(), chosen(2), chosen(2, 3)], [2, 3, 1]);
  assert.deepEqual(
    [[2], [2, 3], [1, 2]].map(ids => pool.hasMore(set(ids))),
    [true, false, true],
  );
});

test('only members are chosen; load counts over all pools', () => {
  const other = new Pool('api', [backends.byId(2)!, backends.byId(3)!]);
  backends.byId(2)!.active = 1;
  for (let i = 0; i < 5; i++) assert.equal(other.choose(new Set())?.id, 3);
  assert.equal(other.choose(set([2, 3])), undefined);
});

test('a session goes to the back end that it names, whatever the load', () => {
  backends.byId(2)!.active = 1000;
  for (const session of ['backend-2', '5A7F.backend-2']) assert.equal(chosenFor(session), 2);
  backends.byId(2)!.up = false;
  assert.notEqual(chosenFor('5A7F.backend-2'), 2, 'down');
  backends.byId(2)!.up = true;
  assert.notEqual(chosenFor('5A7F.backend-2', 2), 2, 'it has refused');
});

test('a session without a name has a back end of its own, and another when that one is down or refuses', () => {
  for (let i = 0; i < 50; i++) {
    const session = `s${i}`;
    const home = rendezvous(session, [1, 2, 3])!;
    backends.byId(home)!.active = 1000;
    assert.deepEqual([chosenFor(session), chosenFor(session)], [home, home]);
    const second = rendezvous(
      session,
      [1, 2, 3].filter(id => id !== home),
    );
    assert.equal(chosenFor(session, home), second);
    backends.byId(home)!.up = false;
    assert.equal(chosenFor(session), second);
    assert.equal(chosenFor(session, ...[1, 2, 3].filter(id => id !== home)), home, 'before a refusal');
    backends.byId(home)!.up = true;
  }
});

test('what a session is recognised by', () => {
  const sessionOf = (...cookies: string[]) =>
    pool.sessionOf({ fields: cookies.map(value => ({ name: 'COOKIE', value })) } as unknown as RequestHead);
  assert.equal(sessionOf(), undefined);
  assert.equal(sessionOf('a=b', 'x=y; session=one', 'session=two'), 'one');
  assert.equal(sessionOf('session='), undefined);
  assert.equal(
    new Pool('web', backends.all).sessionOf({
      fields: [{ name: 'Cookie', value: 'session=1' }],
    } as unknown as RequestHead),
    undefined,
    'a pool without affinity',
  );
});
