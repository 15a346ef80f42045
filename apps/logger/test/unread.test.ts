/** A response that a former daemon has begun to read: it passes unread, and ends where its head has said. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Conversation, type ConversationEvents } from '../src/conversation.ts';
import { RecordPool } from '../src/http/record-pool.ts';
import { track as trackLayout } from '../src/layout.generated.ts';
import { RequestStore } from '../src/request-store.ts';
import { NOT_KEPT } from '../src/resumption.ts';
import { Tracks } from '../src/tracks.ts';

const ISN = 0xffff_ff00;
const P0 = 0xffff_f000;
/** Offsets in the server's stream. */
const [BEGIN, KNOWN, END] = [100, 500, 30_000_000];
const sequence = (offset: number) => (P0 + 1 + offset) >>> 0;

for (const known of [KNOWN, END])
  test(`${known} bytes of ${END} had passed before the daemon began`, t => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-unread-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const memory = new ArrayBuffer(trackLayout.size);
    const view = new DataView(memory);
    const passed = (serverNext: number, clientAck: number) =>
      trackLayout.write(view, 0, {
        ...trackLayout.read(view, 0),
        serverNext: sequence(serverNext),
        clientAck: sequence(clientAck),
      });
    const ended: number[] = [];
    const events = {
      responseEnded: (_: Conversation, { responseEnd }) => void ended.push(responseEnd!),
    } satisfies Partial<ConversationEvents>;
    const limits = { requestBytes: 1 << 20, spillBytes: 0 };
    const conversation = new Conversation(
      {
        ...{ slot: 0, generation: 1, p0: P0 },
        id: { client: 1, vip: 2, clientPort: 3, vipPort: 4, isn: ISN },
        offer: { mss: 1460, windowScale: 7, sackPermitted: true },
      },
      new Tracks({ maxEntries: 1 }, memory),
      new RecordPool(1 << 20),
      events as unknown as ConversationEvents,
      new RequestStore({ limits, directory, onFailure: error => assert.fail(error) }),
    );
    passed(known, KNOWN);
    conversation.resume(
      {
        ...{ kind: 'answered', method: 'GET', number: 1 },
        ...{ requestAt: (ISN + 1) >>> 0, requestEnd: (ISN + 101) >>> 0 },
        ...{ responseAt: sequence(BEGIN), serverKnown: sequence(known), responseEnd: sequence(END) },
      },
      NOT_KEPT,
    );
    conversation.commit();
    assert.deepEqual([ended, conversation.transactions.length], [known === END ? [END] : [], 1]);
    passed(END, END - 1);
    conversation.commit();
    assert.deepEqual([ended, conversation.transactions.length], [[END], 1], 'its client may lack some of it');
    passed(END, END);
    conversation.commit();
    assert.deepEqual([conversation.transactions.length, conversation.responseAt], [0, END]);
  });
