/**
 * What the logger's user half takes for one short request and its response on a kept-alive connection, in µs, without a kernel, a lab
 * and a network: `node apps/logger/bench/requests.ts [CONNECTIONS]`. On a machine that does nothing else. With `--cpu-prof` it tells
 * what of it goes where.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseIp, TcpFlags } from '@resplice/dataplane';
import { silentLog } from '@resplice/service-kit';
import type { Listener } from '@resplice/site-config';
import { Backends } from '@resplice/splice';
import { Alternates } from '../src/alternates.ts';
import { Commits } from '../src/commits.ts';
import { Conversations, type ConversationsDeps } from '../src/conversations.ts';
import type { EventSink } from '../src/datapath.ts';
import { logEventOffsets as at, LogType, logEvent, track, trackOffsets } from '../src/layout.generated.ts';
import { LogRecord } from '../src/log-record.ts';
import { RequestStore } from '../src/request-store.ts';
import { Rules } from '../src/rules.ts';
import { LoggerTally } from '../src/tally.ts';
import { Timeline } from '../src/timeline.ts';
import { Tracks } from '../src/tracks.ts';
import { Treatments } from '../src/treatments.ts';
import { time } from './time.ts';

const connections = Number(process.argv[2] ?? 32);
const ISN = 0xffff_0000;
const P0 = 0x7fff_0000;
const MIB = 1 << 20;

const bytesOf = (lines: string[], body = 0) =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n${'x'.repeat(body)}`);
const responseOf = (second: number) =>
  bytesOf(
    [
      'HTTP/1.1 200 OK',
      'Server: nginx/1.22.1',
      `Date: Tue, 03 Mar 2026 10:00:${String(second % 60).padStart(2, '0')} GMT`,
      'Content-Type: application/octet-stream',
      'Content-Length: 1000',
      'Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT',
      'Connection: keep-alive',
      'ETag: "65e2f1a0-3e8"',
      'Accept-Ranges: bytes',
    ],
    1000,
  );
const wrk = bytesOf(['GET /small HTTP/1.1', 'Host: 10.60.0.1']);
const browser = (path: string) =>
  bytesOf([
    `GET /static/scripts/${path}.js?v=20260301 HTTP/1.1`,
    'Host: www.example.org',
    'Connection: keep-alive',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Accept-Encoding: gzip, deflate',
    'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
    'Referer: http://www.example.org/',
    'Cookie: session=0123456789abcdef0123456789abcdef',
  ]);

/** The ring and the table as the kernel half fills them, for as many connections as there are slots. */
class Traffic {
  readonly tracks: Tracks;
  readonly #table: DataView;
  readonly #ring = new ArrayBuffer(4 * MIB);
  readonly #view = new DataView(this.#ring);
  readonly #bytes = new Uint8Array(this.#ring);
  readonly #event = new LogRecord();
  readonly #clientNext: Float64Array;
  readonly #serverNext: Float64Array;
  #place = 0;
  sink: EventSink = () => {};

  constructor(slots: number, backend: number) {
    const table = new ArrayBuffer(track.size * slots);
    this.#table = new DataView(table);
    this.tracks = new Tracks({ maxEntries: slots }, table);
    this.#clientNext = new Float64Array(slots).fill(ISN + 1);
    this.#serverNext = new Float64Array(slots).fill(P0 + 1);
    for (let slot = 0; slot < slots; slot++) {
      const [c, s] = [ISN + 1, P0 + 1];
      track.write(this.#table, slot * track.size, {
        ...track.read(this.#table, slot * track.size),
        ...{ client: parseIp('10.61.0.2'), vip: parseIp('10.60.0.1'), clientPort: 1024 + slot, vipPort: 80 },
        ...{ isn: ISN, p0: P0, generation: 1, backend, backendPort: 8080, bound: 1 },
        ...{ clientLogged: c, serverAcked: c, told: c, requestAt: c },
        ...{ clientAck: s, serverNext: s, serverLogged: s, serverSeen: s, responseAt: s },
      });
    }
  }

  open(slot: number): void {
    this.#tell(LogType.LOG_OPENED, slot, ISN, P0, new Uint8Array(0));
  }

  request(slot: number, bytes: Uint8Array): void {
    const base = slot * track.size;
    const sequence = this.#clientNext[slot]!;
    const end = sequence + bytes.length;
    this.#clientNext[slot] = end;
    this.#table.setUint32(base + trackOffsets.clientLogged, end, true);
    this.#table.setUint32(base + trackOffsets.clientAck, this.#serverNext[slot]!, true);
    this.#tell(LogType.LOG_CLIENT, slot, sequence, this.#serverNext[slot]!, bytes);
  }

  response(slot: number, bytes: Uint8Array): void {
    const base = slot * track.size;
    const sequence = this.#serverNext[slot]!;
    const end = sequence + bytes.length;
    this.#serverNext[slot] = end;
    for (const field of [trackOffsets.serverSeen, trackOffsets.serverLogged, trackOffsets.serverNext])
      this.#table.setUint32(base + field, end, true);
    this.#table.setUint32(base + trackOffsets.serverAcked, this.#clientNext[slot]!, true);
    this.#tell(LogType.LOG_SERVER, slot, sequence, this.#clientNext[slot]!, bytes);
  }

  #tell(type: number, slot: number, sequence: number, acknowledgement: number, bytes: Uint8Array): void {
    const length = logEvent.size + bytes.length;
    if (this.#place + length > this.#ring.byteLength) this.#place = 0;
    const offset = this.#place;
    const start = offset + logEvent.size;
    this.#place = (start + bytes.length + 7) & ~7;
    const view = this.#view;
    view.setUint32(offset + at.type, type, true);
    view.setUint32(offset + at.captured, bytes.length, true);
    view.setFloat64(offset + at.timeNs, 0, true);
    view.setUint32(offset + at.slot, slot, true);
    view.setUint32(offset + at.generation, 1, true);
    view.setUint32(offset + at.sequence, sequence, true);
    view.setUint32(offset + at.acknowledgement, acknowledgement, true);
    view.setUint32(offset + at.payload, bytes.length, true);
    view.setUint32(offset + at.backend, this.tracks.backend(slot), false);
    view.setUint16(offset + at.backendPort, 8080, false);
    view.setUint16(offset + at.window, 500, true);
    view.setUint8(offset + at.flags, TcpFlags.ACK);
    view.setUint8(offset + at.held, 0);
    this.#bytes.set(bytes, start);
    this.#event.read(view, offset);
    this.sink(this.#event, this.#bytes, start, start + bytes.length);
  }
}

const directory = mkdtempSync(join(tmpdir(), 'resplice-bench-'));
const backends = new Backends([{ name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 }]);
const listener = { name: 'web', port: 80, pool: 'web' } as Listener;
const pools = { web: { backends: 'all', balance: 'least-connections' } } as const;
const traffic = new Traffic(connections, backends.all[0]!.address);
const tally = new LoggerTally();
const nothing = () => undefined;
const kits = { idOf: nothing, recover: async () => undefined, commit: nothing, abandon: nothing };
const deps = {
  datapath: {
    tracks: traffic.tracks,
    flows: { get: () => undefined, delete: () => false },
    pending: 0,
    used: connections,
    listen: (sink: EventSink) => {
      traffic.sink = sink;
    },
    afterDrain: (callback: () => void) => callback(),
    isGuarding: false,
    free: () => {},
    usedSlots: () => [],
    takeWaiting: () => [],
  },
  ...{ kits, backends, tally, commits: new Commits(kits, tally), alternates: new Alternates(backends) },
  timeline: new Timeline(),
  treatments: new Treatments([listener], {}),
  rules: new Rules({ listeners: [listener], pools, headBytes: 2048 }, backends, async () => true),
  recovery: { wait: 5000, requestBytes: MIB, spillBytes: 0 },
  limits: { headTimeoutMs: 30_000 },
  store: new RequestStore({
    ...{ limits: { requestBytes: MIB, spillBytes: 0 }, directory },
    onFailure(error) {
      throw error;
    },
  }),
  onMoved: () => {},
  ask: async () => true,
  ...{ wire: {}, dialer: {}, speaker: {} },
  log: silentLog(),
};
const conversations = new Conversations(deps as unknown as ConversationsDeps);
conversations.start();
for (let slot = 0; slot < connections; slot++) traffic.open(slot);

let turn = 0;
function exchange(what: string, requests: readonly Uint8Array[], responses: readonly Uint8Array[]): void {
  const before = tally.transactions;
  let count = 0;
  time(what, () => {
    const slot = turn++ % connections;
    // All connections have a request under way, as with as many clients that wait for their answers.
    if (turn > connections) traffic.response(slot, responses[(turn >> 12) % responses.length]!);
    traffic.request(slot, requests[turn % requests.length]!);
    count++;
  });
  if (tally.transactions - before !== count || tally.unprotected > 0)
    throw new Error(`${tally.transactions - before} of ${count} requests were read`);
}

const responses = Array.from({ length: 60 }, (_, second) => responseOf(second));
exchange('a request of wrk’s, a response of 1 kB', [wrk], responses);
exchange(
  'a request of a browser’s, a response of 1 kB',
  Array.from({ length: 37 }, (_, i) => browser(`part-${i}`)),
  responses,
);

conversations.close();
rmSync(directory, { recursive: true });
