import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Outlook } from '../src/outlook.ts';

let now: number;
let outlook: Outlook;
beforeEach(() => {
  now = 0;
  outlook = new Outlook(() => now);
  for (const host of ['lb-1', 'logger-1', 'backend-1']) outlook.hostChanged(host, true);
});

const peer = (status: number, { live = true, ready = true } = {}) =>
  outlook.peerChanged(2, { live, ready, status });

test('who hears fewer than a peer is worse off, who hears as many is not', () => {
  peer(3);
  assert.equal(outlook.isWorse, false);
  outlook.hostChanged('backend-1', false);
  assert.equal(outlook.isWorse, true);
  peer(2);
  assert.equal(outlook.isWorse, false);
});

test('a peer that is dead, or not ready, does not carry connections in our place', () => {
  outlook.hostChanged('lb-1', false);
  peer(3, { live: false });
  assert.equal(outlook.isWorse, false);
  peer(3, { ready: false });
  assert.equal(outlook.isWorse, false);
  peer(3);
  assert.equal(outlook.isWorse, true);
});

test('a peer that was ready until just now still carries them', () => {
  outlook.hostChanged('lb-1', false);
  peer(3);
  now = 1000;
  peer(3, { ready: false });
  now = 1400;
  assert.equal(outlook.isWorse, true);
  now = 1600;
  assert.equal(outlook.isWorse, false);
});

test('two that each miss one: both go on', () => {
  outlook.hostChanged('backend-1', false);
  peer(2);
  assert.equal(outlook.isWorse, false);
});
