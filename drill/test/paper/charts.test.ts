import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { waterfall } from '../../src/paper/charts.ts';
import type { PaperRun, RunKey } from '../../src/paper/run.ts';
import { madeUpRun } from './fixture.ts';

const key: RunKey = {
  client: 'chromium',
  action: 'action1',
  link: 'lan-paper',
  architecture: 'ours',
  fault: 'backend-crash',
  repetition: 1,
};
/** A page on one connection, which meets the fault, and its objects on that and on another. */
const run: PaperRun = madeUpRun(key, {
  fired: { target: 'backend-1', at: 100, completed: 0, of: 5, step: 'connect' },
  requests: [
    ['/login', 0, 500, '17'],
    ['/style.css', 510, 520, '17'],
    ['/a.svg', 510, 525, '21'],
    ['/b.svg', 521, 530, '17'],
    ['/c.svg', 522, 531, null],
  ].map(([path, start, end, connection]) => ({
    path: path as string,
    start: start as number,
    end: end as number,
    bytes: 1,
    status: 200,
    connection: connection as string | null,
  })),
});

suite('a run, request by request', () => {
  test('numbers connections that are used again, and outlines the one that met the fault', () => {
    const picture = waterfall(run, 'title');
    const numbers = [...picture.matchAll(/class="small(?: moved)?">(#\d)</g)].map(([, number]) => number);
    assert.deepEqual(numbers, ['#1', '#1', '#2', '#1']);
    assert.equal(picture.match(/class="bar (?:ours|met) moved"/g)?.length, 3);
    assert.equal(picture.match(/class="bar met moved"/g)?.length, 1);
    assert.match(picture, /Outlined: what came on #1, the connection that met the failure; 2 more after it/);
    assert.match(picture, /connection #1 met it and carries 2 requests more/);
  });

  test('a client with a connection for each request gets no numbers', () => {
    const picture = waterfall(madeUpRun({ ...key, client: 'paper' }), 'title');
    assert.doesNotMatch(picture, /#\d|Outlined|moved/);
  });

  test('a run without a fault outlines nothing', () => {
    const picture = waterfall({ ...run, fault: 'none', fired: null }, 'title');
    assert.doesNotMatch(picture, /Outlined|moved/);
    assert.match(picture, />#2</);
  });
});
