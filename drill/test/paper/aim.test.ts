import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { hasMet, isPoint } from '../../src/paper/aim.ts';
import type { Request } from '../../src/paper/run.ts';

const progress = { token: 't', local: null, completed: 73, step: 'connect', slow: true };

suite('where a fault falls', () => {
  test('action 1: at half of the objects, in one that takes its time', () => {
    const point = { action: 'action1', client: 'paper', objects: 146 } as const;
    assert.equal(isPoint(point, progress), true);
    assert.equal(isPoint(point, { ...progress, completed: 72 }), false);
    assert.equal(isPoint(point, { ...progress, slow: false }), false);
  });

  test('action 1 in a browser: when its page has been asked for', () => {
    const point = { action: 'action1', client: 'chromium', objects: 146 } as const;
    assert.equal(isPoint(point, { ...progress, completed: 0 }), true);
    assert.equal(isPoint(point, { ...progress, completed: 0, slow: false }), false);
  });

  test('action 2: when the letter has been submitted', () => {
    for (const client of ['paper', 'chromium'] as const) {
      const point = { action: 'action2', client, objects: 27 } as const;
      assert.equal(isPoint(point, { ...progress, step: 'send' }), true);
      assert.equal(isPoint(point, { ...progress, step: 'draft' }), false);
    }
  });
});

suite('whether it met', () => {
  const struck = { aimedAt: 100, from: 105, at: 110 };
  const request = (start: number, end: number, status: number | null = 200): Request => ({
    path: '/x',
    start,
    end,
    bytes: 1,
    status,
    connection: null,
  });

  test('a request under way when it had taken effect', () => {
    assert.equal(hasMet(struck, [request(90, 300)]), true);
  });

  test('one that broke while it took effect', () => {
    assert.equal(hasMet(struck, [request(90, 107, null)]), true);
    assert.equal(hasMet(struck, [request(90, 107, 502)]), true);
  });

  test('not one that was over, nor the next one', () => {
    assert.equal(hasMet(struck, [request(90, 107), request(108, 300)]), false);
    assert.equal(hasMet(struck, [request(90, 104, null)]), false);
  });
});
