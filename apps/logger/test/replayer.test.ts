import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ClientBytes } from '@resplice/splice';
import type { Conversation } from '../src/conversation.ts';
import { Replayer } from '../src/replayer.ts';
import { RequestLog } from '../src/request-log.ts';
import { RequestStore } from '../src/request-store.ts';
import type { Tracks } from '../src/tracks.ts';

const BACKEND = { name: 'backend-2', id: 2, address: 1, port: 8080, up: true, active: 0 };

/** A connection with this in its log, and a back end that has acknowledged `delivered` of it. */
function connection(text: string) {
  const directory = mkdtempSync(join(tmpdir(), 'resplice-replayer-'));
  const limits = { requestBytes: 1 << 20, spillBytes: 0 };
  const store = new RequestStore({ limits, directory, onFailure: assert.fail });
  const requests = new RequestLog(store, assert.fail);
  const append = (more: string) => requests.append(Buffer.from(more), 0, more.length);
  append(text);
  const transactions: { requestEnd: number | undefined; delivered: boolean }[] = [];
  const state = {
    slot: 0,
    id: { client: 1, vip: 2, clientPort: 3, vipPort: 80, isn: 100 },
    offer: { mss: 1460, windowScale: 7, sackPermitted: true },
    requests,
    transactions,
    delivered: 0,
    told: 0,
    acknowledged: 0,
    clientEnd: undefined as number | undefined,
    window: 100,
    seen: 501,
    clientSequence: (offset: number) => 101 + offset,
    serverSequence: (offset: number) => 501 + offset,
    serverOffset: (sequence: number) => sequence - 501,
  };
  const sent: {
    at: number;
    text: string;
    fin: boolean;
    isMarked: boolean;
    window: number;
    acknowledgement: number;
  }[] = [];
  const replayer = new Replayer({
    conversation: state as unknown as Conversation,
    tracks: { serverSeen: () => state.seen, clientWindow: () => state.window } as unknown as Tracks,
    wire: {
      deliver: (_backend, _entry, { sequence, payload, fin, window, acknowledgement }: ClientBytes) =>
        sent.push({
          at: sequence - 101,
          text: Buffer.from(payload).toString(),
          fin,
          window,
          acknowledgement,
          isMarked: transactions.every(({ delivered }) => delivered),
        }),
    },
    backend: BACKEND,
    delta: 0,
    from: 0,
  });
  return { state, transactions, append, sent, replayer };
}

test('a request counts as one that may have run before its last byte leaves, also one that came during the move', () => {
  const { transactions, append, sent, replayer } = connection('POST / .');
  const first = { requestEnd: 8, delivered: false };
  transactions.push(first);
  replayer.go();
  assert.deepEqual(sent.at(-1), {
    at: 0,
    text: 'POST / .',
    fin: false,
    window: 100,
    acknowledgement: 501,
    isMarked: true,
  });
  const second = { requestEnd: undefined as number | undefined, delivered: false };
  transactions.push(second);
  append('POST');
  replayer.go();
  assert.equal(second.delivered, false, 'incomplete, it cannot have run');
  append(' / !');
  second.requestEnd = 16;
  replayer.go();
  assert.deepEqual(sent.at(-1), {
    at: 12,
    text: ' / !',
    fin: false,
    window: 100,
    acknowledgement: 501,
    isMarked: true,
  });
  replayer.close();
});

test('the client goes on by itself when all is sent and the back end has what the client believes it has', () => {
  const { state, sent, replayer } = connection('0123456789');
  state.told = 4;
  assert.equal(replayer.isDone, false, 'nothing is sent');
  replayer.go();
  assert.equal(replayer.isDone, false, 'four bytes nobody else can send');
  state.delivered = 4;
  assert.equal(replayer.isDone, true);
  state.clientEnd = 10;
  assert.equal(replayer.isDone, false, 'a FIN is to be sent');
  replayer.go();
  assert.deepEqual(
    sent.map(({ text, fin }) => [text, fin]),
    [
      ['0123456789', false],
      ['', true],
    ],
  );
  assert.equal(replayer.isDone, true);
  replayer.close();
});

test('what must wait is not sent', () => {
  const { replayer, sent } = connection('0123456789');
  replayer.limit = 6;
  replayer.go();
  assert.deepEqual(
    sent.map(({ text }) => text),
    ['012345'],
  );
  assert.equal(replayer.isDone, true);
  replayer.close();
});

test('the window ends where the client has put it; while a response is compared, a whole segment fits', () => {
  const { state, replayer, sent } = connection('');
  const windowNow = () => {
    replayer.acknowledge();
    return sent.at(-1)!.window;
  };
  state.acknowledged = 1280;
  replayer.given = 640;
  assert.equal(windowNow(), 105, '640 bytes are 5 units of 128');
  // The client's reader pauses: its own window is closed.
  state.window = 0;
  replayer.given = 1280;
  assert.equal(windowNow(), 0);
  replayer.room = 1281;
  assert.equal(windowNow(), Math.ceil(1461 / 128), 'one byte is still to be compared');
  replayer.given = 1281;
  assert.equal(windowNow(), 0);
  // What the ring had no room for was seen, and must come again.
  state.acknowledged = 5000;
  state.seen = 501 + 4000;
  const acknowledgedNow = () => {
    replayer.acknowledge();
    return sent.at(-1)!.acknowledgement - 501;
  };
  replayer.room = 3000;
  assert.equal(acknowledgedNow(), 1281, 'compared so far');
  replayer.given = 3000;
  assert.equal(acknowledgedNow(), 4000, 'of the rest, what the client has and the back end has sent');
  replayer.close();
});
