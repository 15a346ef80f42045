import { parseOptions, TcpFlags } from '@resplice/dataplane';
import type { ClientOffer, Entry } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import { type Backend, type Backends, NO_WINDOW_SCALE } from '@resplice/splice';
import { adopt } from './adoption.ts';
import { Conversation, type ConversationEvents, UPGRADED } from './conversation.ts';
import { Detector, requestClass } from './detector/index.ts';
import { Drains } from './drains.ts';
import { Gap } from './gap.ts';
import { Guard } from './guard.ts';
import { RecordPool } from './http/record-pool.ts';
import { ClientMode, type LogEvent, LogType, type Track } from './layout.generated.ts';
import { Move, type RecoveryDeps } from './recovery.ts';
import type { RequestStore } from './request-store.ts';
import { Room } from './room.ts';
import type { Rules } from './rules.ts';
import { answers } from './second-opinion.ts';
import { Suspicions } from './suspicions.ts';
import { traceOf } from './trace.ts';
import type { Treatments } from './treatments.ts';
import { type ConversationView, stateOf, viewOf } from './view.ts';
import { LOOK_MS, monotonicMs, Watchman } from './watchman.ts';

/** A connection's last packets may still come for so long, ms. */
const LINGER_MS = 5000;
/** Room for the beginnings of responses, bytes; a response that has none is not protected once it has begun. */
const RECORDS_BYTES = 1 << 30;
/** Between two looks at how full the table is, ms. */
const ROOM_MS = 1000;
/** Connections that /status lists at most. */
const MOST_VIEWS = 1000;

export interface ConversationsDeps
  extends Omit<RecoveryDeps, 'onDelivered' | 'onMoved' | 'onEnd' | 'onDead' | 'tracks'> {
  backends: Backends;
  treatments: Treatments;
  rules: Rules;
  store: RequestStore;
  /** A connection has another back end: the proxies are to know. */
  onMoved(entry: Omit<Entry, 'owner'>): void;
  log: Log;
}

/** All connections that pass: hands each event of the kernel half to the one that it is about. */
export class Conversations {
  readonly #deps: ConversationsDeps;
  readonly #recovery: RecoveryDeps;
  readonly #bySlot = new Map<number, Conversation>();
  readonly #moves = new Map<Conversation, Move>();
  /** Over, and when that was: oldest first. */
  readonly #over = new Map<Conversation, number>();
  readonly #confirming = new Set<Conversation>();
  readonly #watchman: Watchman;
  readonly #suspicions: Suspicions;
  readonly #gap: Gap;
  readonly #room: Room;
  #roomTimer: NodeJS.Timeout | undefined;
  readonly #records = new RecordPool(RECORDS_BYTES);
  readonly #events: ConversationEvents;
  readonly #drains: Drains;
  /** Those whose guards have something under way. */
  readonly #attended = new Set<Conversation>();
  /** Those that move since their rules say so, and not for a failure. */
  readonly #routine = new Set<Conversation>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: ConversationsDeps) {
    this.#deps = deps;
    this.#recovery = {
      ...deps,
      tracks: deps.datapath.tracks,
      onDelivered: (conversation, backend) => this.#delivered(conversation, backend),
      onMoved: (conversation, backend, delta) => this.#moved(conversation, backend, delta),
      onEnd: conversation => this.#serverEnded(conversation),
      onDead: conversation => this.#isOver(conversation),
    };
    this.#drains = new Drains({
      datapath: deps.datapath,
      wire: deps.wire,
      isBusy: conversation => this.#moves.has(conversation) || this.#over.has(conversation),
      hasAlternate: backend => deps.backends.all.some(each => each.up && each !== backend),
      move: (conversation, why) => this.#move(conversation, why),
    });
    this.#suspicions = new Suspicions({
      ...{ backends: deps.backends, timeline: deps.timeline, ask: answers },
      fail: conversation => this.#timedOut(conversation),
    });
    this.#gap = new Gap({
      ...{ tracks: deps.datapath.tracks, speaker: deps.speaker, tally: deps.tally },
      conversations: () => this.#settled(),
    });
    this.#room = new Room(deps.datapath.tracks);
    this.#watchman = new Watchman(new Detector(), deps.datapath.tracks);
    this.#events = {
      treatmentOf: ({ id }, head) => deps.treatments.of(id.vipPort, head),
      requestBegan: ({ id, guard, isForwarded }, transaction, head) => {
        deps.tally.transactions++;
        if (!isForwarded) guard?.judge(transaction, head);
        const { treatment } = transaction;
        transaction.requestClass = requestClass(String(id.vipPort), treatment, head.target);
      },
      requestEnded: (conversation, transaction) => {
        if (transaction.delivered && conversation.open === transaction) this.#expect(conversation);
      },
      requestsLost: conversation => {
        deps.tally.requestsTooLong++;
        this.#moves.get(conversation)?.again();
      },
      responseBegan: (_conversation, { watch }) => watch?.firstByte(monotonicMs()),
      responseEnded: (conversation, transaction) => {
        this.#watchman.end(transaction);
        this.#expect(conversation);
        this.#moves.get(conversation)?.look();
      },
    };
  }

  /** The next response is due, if the request for it is complete. */
  #expect(conversation: Conversation): void {
    const { open, backend } = conversation;
    if (!open || !backend || open.requestEnd === undefined || !open.delivered) return;
    this.#watchman.begin(conversation, open, backend, monotonicMs());
  }

  get size(): number {
    return this.#bySlot.size;
  }

  get moves(): number {
    return this.#moves.size;
  }

  start(): void {
    this.#adopt();
    this.#deps.datapath.listen(this.#receive);
    this.#timer = setInterval(() => this.#sweep(), LOOK_MS);
    this.#roomTimer = setInterval(() => this.#makeRoom(), ROOM_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    clearInterval(this.#roomTimer);
    for (const move of [...this.#moves.values()]) move.close();
    this.#drains.close();
    this.#gap.close();
  }

  status() {
    const newest = [...this.#bySlot.values()].filter(each => !this.#over.has(each)).slice(-MOST_VIEWS);
    return {
      connections: newest.map(each => viewOf(each, this.#moves.has(each))),
      draining: this.#drains.views([...this.#bySlot.values()].filter(each => !this.#over.has(each))),
    };
  }

  /** How many are in that state. */
  count(state: ConversationView['state']): number {
    let count = 0;
    for (const each of this.#bySlot.values())
      if (!this.#over.has(each) && stateOf(each, this.#moves.has(each)) === state) count++;
    return count;
  }

  /** @param client `address:port`, or an address: its newest connection */
  trace(client: string) {
    const living = [...this.#bySlot.values()].filter(each => !this.#over.has(each));
    return traceOf(client, living, this.#deps.timeline, each => viewOf(each, this.#moves.has(each)));
  }

  /** These back ends are to be empty: their connections leave when nothing is under way. */
  drain(backends: Iterable<Backend>): void {
    this.#drains.set(backends);
  }

  /** What it had in hand for clients is lost. */
  proxyDied(): void {
    this.#gap.open();
  }

  *#settled(): Generator<Conversation> {
    for (const each of this.#bySlot.values()) if (!this.#moves.has(each) && !this.#over.has(each)) yield each;
  }

  /** Moves every connection that it holds: at once those that wait for something, the others when they need somebody. */
  backendDied(backend: Backend): void {
    for (const conversation of this.#bySlot.values()) {
      const move = this.#moves.get(conversation);
      if (move) {
        if (move.backend !== backend) continue;
        this.#deps.timeline.note(conversation, `suspected: ${backend.name} is silent`);
        move.again();
      } else if (conversation.backend === backend && !this.#over.has(conversation)) {
        if (conversation.transactions.length > 0) this.#deps.tally.failedByLiveness++;
        this.#move(conversation, `suspected: ${backend.name} is silent`);
      }
    }
  }

  readonly #receive = (event: LogEvent, bytes: Uint8Array, start: number, end: number): void => {
    if (event.type === LogType.LOG_REPLY) {
      this.#reply(event, bytes, start, end);
      return;
    }
    if (event.type === LogType.LOG_STRAY) {
      this.#stray(event);
      return;
    }
    if (event.type === LogType.LOG_OPENED) {
      this.#opened(event, bytes, start, end);
      return;
    }
    const conversation = this.#bySlot.get(event.slot);
    if (!conversation || conversation.generation !== event.generation) {
      this.#unknown(event);
      return;
    }
    if (conversation.unprotected === undefined && this.#deps.datapath.tracks.isUnattended(event.slot))
      conversation.giveUp('some of it passed while nobody read the log');
    if (event.type === LogType.LOG_ENDED) this.#forget(conversation, false);
    else if (event.type === LogType.LOG_CLIENT) this.#fromClient(conversation, event, bytes, start, end);
    else this.#fromServer(conversation, event, bytes, start, end);
  };

  #reply(event: LogEvent, bytes: Uint8Array, start: number, end: number): void {
    const { backends, alternates, dialer } = this.#deps;
    const backend = backends.all.find(each => each.address === event.backend);
    if (!backend) return;
    alternates.learnStation(backend, event.mac);
    dialer.receive({ ...event, options: end - start, optionBytes: bytes.subarray(start, end) });
  }

  /**
   * Ends a connection that nobody knows and that may not pass. Only its back end knows the numbers that its client believes: it is
   * reset, and asked once more, so it answers with a reset of its own.
   */
  #stray({ backend: address, client, clientPort, sequence, acknowledgement }: LogEvent): void {
    const { backends, tally, wire } = this.#deps;
    const backend = backends.all.find(each => each.address === address);
    if (!backend) return;
    tally.strays++;
    const id = { client, clientPort, vip: 0, vipPort: 0, isn: 0, delta: 0 };
    wire.reset(backend, id, sequence);
    wire.deliver(backend, id, {
      ...{ sequence, acknowledgement, window: 0, fin: false },
      payload: new Uint8Array(0),
    });
  }

  #opened(event: LogEvent, bytes: Uint8Array, start: number, end: number): void {
    const { tally, datapath } = this.#deps;
    const track = datapath.tracks.read(event.slot);
    // The slot has been given to another connection since.
    if (track.generation !== event.generation) return;
    const options = parseOptions(bytes, start, end - start);
    tally.opened++;
    const offer = {
      mss: options.mss ?? 536,
      windowScale: options.windowScale ?? NO_WINDOW_SCALE,
      sackPermitted: options.sackPermitted,
    };
    datapath.tracks.setOffer(event.slot, offer);
    this.#add(event.slot, track, offer);
  }

  #add(slot: number, track: Track, offer: ClientOffer): Conversation {
    const { client, vip, clientPort, vipPort, isn, p0, generation } = track;
    const conversation = new Conversation(
      slot,
      { id: { client, vip, clientPort, vipPort, isn }, p0, generation, offer },
      this.#deps.datapath.tracks,
      this.#records,
      this.#events,
      this.#deps.store,
    );
    this.#bySlot.set(slot, conversation);
    if (track.guarded !== 0 || this.#deps.rules.guards(vipPort)) this.#guard(conversation);
    return conversation;
  }

  /** From here on each of its requests is judged. */
  #guard(conversation: Conversation): void {
    const { datapath, wire, speaker, tally, rules, timeline } = this.#deps;
    datapath.tracks.guard(conversation.slot);
    conversation.guard = new Guard(conversation, {
      ...{ tracks: datapath.tracks, wire, speaker, tally },
      judge: ({ id }, head) => rules.judge(id.vipPort, id.client, head.routable(), head.size),
      isBusy: each => this.#moves.has(each) || this.#over.has(each) || this.#drains.isLeaving(each),
      // One that wakes up may have lost its back end: then there is a trace that this belongs to.
      move: (each, why) => this.#move(each, why, each.backend !== undefined || !timeline.of(each)),
      abandon: (each, why) => {
        each.giveUp(why);
        this.#abandon(each);
      },
      judged: each => {
        const move = this.#moves.get(each);
        if (move) move.judged();
        else each.guard?.look();
      },
      delivered: each => this.#expect(each),
      attend: each => this.#attended.add(each),
    });
  }

  /** Follows other rules: for connections that were not guarded yet, from the next request on. */
  followRules(): void {
    for (const conversation of this.#bySlot.values()) {
      const { guard, id, unprotected } = conversation;
      if (guard || !this.#deps.rules.guards(id.vipPort) || this.#over.has(conversation)) continue;
      // What has become another protocol has no requests.
      if (unprotected === UPGRADED) continue;
      this.#guard(conversation);
      conversation.guard!.isFresh = false;
      if (unprotected === undefined) this.#attended.add(conversation);
      else this.#abandon(conversation);
    }
  }

  /** Goes on with the connections of a former daemon. */
  #adopt(): void {
    const { backends, datapath, speaker, tally, log } = this.#deps;
    const { adopted, abandoned } = adopt(datapath, {
      add: (slot, track, offer) => this.#add(slot, track, offer),
      bind: (conversation, address) =>
        this.#bound(
          conversation,
          backends.all.find(each => each.address === address),
        ),
      letGo: conversation => this.#letGo(conversation),
      reset: conversation => {
        this.#letGo(conversation);
        speaker.reset(conversation.id, datapath.tracks.clientAck(conversation.slot));
        this.#isOver(conversation);
      },
      move: (conversation, why) => this.#move(conversation, why),
      receive: this.#receive,
    });
    tally.adopted = adopted;
    tally.abandoned = abandoned;
    if (adopted + abandoned > 0)
      log.info({ adopted, abandoned }, 'went on with connections of a former daemon');
  }

  /** Of a connection that began before this process did: it passes, unprotected. */
  #unknown(event: LogEvent): void {
    const { tracks } = this.#deps.datapath;
    if (event.type === LogType.LOG_ENDED || tracks.generation(event.slot) !== event.generation) return;
    const track = tracks.read(event.slot);
    if (track.guarded !== 0) {
      this.#deps.speaker.reset(track, track.clientAck);
      return;
    }
    tracks.setClientMode(event.slot, ClientMode.CLIENT_UNLOGGED);
    tracks.letEnd(event.slot, true);
    tracks.skipUntil(event.slot, (event.sequence + (1 << 30)) >>> 0);
    if (event.flags & TcpFlags.RST && event.type === LogType.LOG_SERVER) {
      const { client, vip, clientPort, vipPort } = tracks.read(event.slot);
      this.#deps.speaker.reset({ client, vip, clientPort, vipPort }, event.sequence);
    }
  }

  #fromClient(
    conversation: Conversation,
    event: LogEvent,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { backends } = this.#deps;
    const { guard } = conversation;
    const held = event.held !== 0;
    if ((!held || guard?.isFresh) && conversation.backend?.address !== event.backend)
      this.#bound(
        conversation,
        backends.all.find(each => each.address === event.backend),
      );
    if (guard) guard.isFresh = false;
    const at = conversation.clientOffset(event.sequence);
    if (held && guard?.contradicts(at, bytes, start, end)) {
      this.#deps.tally.overlapsDiffer++;
      conversation.giveUp('its client has sent two requests with the same numbers');
      this.#abandon(conversation);
      return;
    }
    const before = conversation.incoming.end;
    const move = this.#moves.get(conversation);
    // Held before a move ended, and told after.
    const isGuarded = guard !== undefined && conversation.unprotected !== UPGRADED;
    const isLate = held && !move && conversation.backend !== undefined && !isGuarded;
    if (end > start) conversation.clientBytes(at, bytes, start, end, !held || isLate);
    if (isLate) this.#deliver(conversation, event, bytes.subarray(start, end));
    if (conversation.unprotected !== undefined) {
      // Nobody has what was held, and nobody can be given it.
      if (held && !isLate) this.#abandon(conversation);
      else if (guard) this.#follow(conversation);
      else this.#letGo(conversation);
    }
    if (event.flags & TcpFlags.RST) {
      // Only the number that the server waits for ends it (RFC 5961 §3.2); anything else it judges itself.
      if (at === conversation.incoming.end || at === conversation.delivered) this.#isOver(conversation);
      return;
    }
    if (event.flags & TcpFlags.FIN) conversation.finAt = at + event.payload;
    const { finAt } = conversation;
    if (finAt === conversation.incoming.end) conversation.clientEnd = finAt;
    this.#drains.look(conversation);
    if (move) move.clientBytes();
    else if (guard?.isFlooded) {
      conversation.giveUp('its client sends more than was granted');
      this.#abandon(conversation);
    } else if (guard && conversation.unprotected === undefined) {
      if (end > start && at + (end - start) <= conversation.told) guard.repeat();
      if (end > start && at > conversation.incoming.end) guard.gap(at);
      guard.look();
    } else if (held && !conversation.backend) {
      if (conversation.incoming.end > before || conversation.clientEnd !== undefined)
        this.#move(conversation, 'wakes up');
      else this.#answer(conversation);
    } else if (conversation.clientEnd !== undefined && conversation.ended) this.#isOver(conversation);
    // Of what nobody follows the last that is told is the client's FIN; the server's passes without a word.
    else if (event.flags & TcpFlags.FIN && conversation.unprotected !== undefined) this.#isOver(conversation);
  }

  #deliver(conversation: Conversation, event: LogEvent, payload: Uint8Array): void {
    const { wire, datapath } = this.#deps;
    const { backend, id, slot } = conversation;
    const { sequence, acknowledgement, window, flags } = event;
    if (!backend) return;
    wire.deliver(
      backend,
      { ...id, delta: datapath.tracks.delta(slot) },
      { sequence, acknowledgement, window, payload, fin: (flags & TcpFlags.FIN) !== 0 },
    );
  }

  /** A client asks whether anybody is there: yes, though no back end needs to know. */
  #answer(conversation: Conversation): void {
    const { speaker, datapath } = this.#deps;
    speaker.say(conversation.id, {
      seq: datapath.tracks.serverNext(conversation.slot),
      ack: conversation.clientSequence(conversation.incoming.end),
      window: 512,
      mss: conversation.offer.mss,
    });
  }

  #fromServer(
    conversation: Conversation,
    event: LogEvent,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { timeline } = this.#deps;
    const move = this.#moves.get(conversation);
    if (event.held) {
      move?.serverBytes(event, bytes, start, end);
      this.#follow(conversation);
      return;
    }
    const at = conversation.serverOffset(event.sequence);
    timeline.serverBytes(conversation, at + event.payload, Number(event.timeNs) / 1e6);
    if (end > start) conversation.serverBytes(at, bytes, start, end);
    else conversation.catchUp();
    this.#follow(conversation);
    if (move) {
      if (event.flags & TcpFlags.RST) {
        timeline.note(conversation, `suspected: ${move.backend?.name} ended it`);
        move.alternateEnded();
      } else move.progressed(event);
      return;
    }
    conversation.guard?.heard(event);
    if (this.#moves.has(conversation)) return;
    if (event.flags & TcpFlags.RST) this.#serverReset(conversation, event);
    else if (event.flags & TcpFlags.FIN && conversation.outgoing.end >= at + event.payload)
      this.#serverEnded(conversation);
  }

  /** Lets a connection go that cannot be followed since its server's last bytes. */
  #follow(conversation: Conversation): void {
    if (conversation.unprotected === undefined) return;
    // The rest of a request that is being given to an alternate is known no more.
    const { guard, unprotected, requests, delivered } = conversation;
    const mayPass = !guard || (unprotected === UPGRADED && requests.end <= delivered);
    if (this.#moves.get(conversation)?.isDelivered === false || !mayPass) this.#abandon(conversation);
    else this.#letGo(conversation);
  }

  /** A FIN of the server's: the end, an idle time-out, or the last word of a dying process (ARCHITECTURE §4). */
  #serverEnded(conversation: Conversation): void {
    conversation.commit();
    const { open, clientEnd, closes, unprotected } = conversation;
    // Behind a response that was the last one nothing is served, whatever the client has sent meanwhile.
    if (unprotected !== undefined || closes || (!open && clientEnd !== undefined)) this.#letEnd(conversation);
    else if (open?.untilClose && open.bodyAt !== undefined) void this.#confirm(conversation);
    else {
      this.#failed(conversation);
      this.#move(conversation, this.#endOf(conversation, 'closed it'));
    }
  }

  /** A back end's end of a connection: a failure, unless nothing was due. */
  #endOf({ backend, open }: Conversation, what: string): string {
    return `${open ? 'suspected' : 'idle'}: ${backend?.name ?? 'its back end'} ${what}`;
  }

  #failed(conversation: Conversation): void {
    if (!conversation.open) return;
    this.#deps.tally.failedByEnd++;
    conversation.failed();
  }

  /** A server that lives on after its FIN has meant it. */
  async #confirm(conversation: Conversation): Promise<void> {
    const { backend } = conversation;
    if (this.#confirming.has(conversation) || !backend) return;
    this.#confirming.add(conversation);
    const alive = await answers(backend);
    this.#confirming.delete(conversation);
    const isSettled = this.#over.has(conversation) || this.#moves.has(conversation);
    if (isSettled || conversation.backend !== backend || conversation.ended) return;
    if (alive) {
      this.#letEnd(conversation);
    } else {
      this.#failed(conversation);
      this.#move(conversation, this.#endOf(conversation, 'closed it, and is gone'));
    }
  }

  #serverReset(conversation: Conversation, event: LogEvent): void {
    conversation.commit();
    const { open } = conversation;
    if (conversation.unprotected !== undefined || conversation.ended) {
      this.#deps.speaker.reset(conversation.id, event.sequence);
      this.#isOver(conversation);
    } else if (conversation.closes || (!open && conversation.clientEnd !== undefined)) {
      this.#letEnd(conversation);
    } else {
      this.#failed(conversation);
      this.#move(conversation, this.#endOf(conversation, 'reset it'));
    }
  }

  #letEnd(conversation: Conversation): void {
    const { tally, speaker, datapath } = this.#deps;
    const { slot, id, offer } = conversation;
    conversation.ended = true;
    tally.endsPassed++;
    datapath.tracks.letEnd(slot, true);
    speaker.say(id, {
      seq: conversation.serverSequence(conversation.outgoing.end),
      ack: datapath.tracks.told(slot),
      window: 512,
      mss: offer.mss,
      fin: true,
    });
    if (conversation.clientEnd !== undefined) this.#isOver(conversation);
  }

  /** Nobody can follow it: what ends it passes as well. */
  #letGo(conversation: Conversation): void {
    const { tracks } = this.#deps.datapath;
    if (conversation.ended || this.#over.has(conversation)) return;
    conversation.guard?.rest();
    conversation.ended = true;
    this.#deps.tally.unprotected++;
    this.#deps.log.info({ ...viewOf(conversation, false) }, 'connection is not protected from here on');
    tracks.letEnd(conversation.slot, true);
    tracks.setClientMode(conversation.slot, ClientMode.CLIENT_UNLOGGED);
  }

  #bound(conversation: Conversation, backend: Backend | undefined): void {
    if (conversation.backend) conversation.backend.active--;
    conversation.backend = backend;
    if (backend) backend.active++;
  }

  /** It can neither go on nor be let go. */
  #abandon(conversation: Conversation): void {
    if (!this.#moves.has(conversation)) this.#move(conversation, `unprotected: ${conversation.unprotected}`);
    this.#moves.get(conversation)?.abandon();
  }

  /**
   * @param why what the timeline says of it
   * @param isRoutine nothing has failed and nobody is drained: the timeline says nothing
   */
  #move(conversation: Conversation, why: string, isRoutine = false): void {
    if (this.#over.has(conversation)) return;
    this.#drains.forget(conversation);
    if (isRoutine) this.#routine.add(conversation);
    else this.#deps.timeline.begin(conversation, why);
    const former = conversation.backend;
    if (former) former.active--;
    const mayRest = former !== undefined;
    conversation.guard?.rest();
    const onEnd = () => {
      this.#moves.delete(conversation);
      this.#routine.delete(conversation);
      // When its end is known to everybody.
      queueMicrotask(() => conversation.guard?.look());
    };
    const move = new Move(conversation, this.#recovery, onEnd, mayRest);
    if (!move.isEnded) this.#moves.set(conversation, move);
  }

  /** An alternate has got the whole request: its response is due. */
  #delivered(conversation: Conversation, backend: Backend): void {
    const { open } = conversation;
    if (open?.requestEnd !== undefined && open.delivered)
      this.#watchman.begin(conversation, open, backend, monotonicMs());
  }

  #moved(conversation: Conversation, backend: Backend, delta: number): void {
    const { id, p0 } = conversation;
    this.#deps.onMoved({ ...id, p0, delta, backend: backend.id, createdMs: Date.now() });
    backend.active++;
    if (this.#routine.has(conversation)) {
      this.#deps.tally.poolsChanged++;
      return;
    }
    conversation.failovers++;
    this.#deps.log.info({ ...viewOf(conversation, false) }, 'connection moved');
  }

  /** @param conversation whose back end, or the one that is to be its next, is too late */
  #timedOut(conversation: Conversation): void {
    const move = this.#moves.get(conversation);
    this.#deps.tally.failedByTimeout++;
    const why = `suspected: ${(move ?? conversation).backend?.name} is silent for too long`;
    if (move) {
      this.#deps.timeline.note(conversation, why);
      move.again();
    } else this.#move(conversation, why);
  }

  #isOver(conversation: Conversation): void {
    this.#watchman.forget(conversation);
    this.#drains.forget(conversation);
    this.#attended.delete(conversation);
    conversation.guard?.rest();
    this.#moves.get(conversation)?.close();
    if (!this.#over.has(conversation)) this.#over.set(conversation, performance.now());
  }

  #sweep(): void {
    this.#watchman.look(this.#deps.datapath.pending > 0, (conversation, transaction) => {
      const { backend } = this.#moves.get(conversation) ?? conversation;
      if (backend) this.#suspicions.suspect(conversation, transaction, backend);
      else this.#timedOut(conversation);
    });
    for (const move of this.#moves.values()) move.look();
    const attended = [...this.#attended];
    this.#attended.clear();
    for (const { guard } of attended) guard?.look();
    if (!this.#drains.isIdle)
      for (const conversation of this.#bySlot.values()) this.#drains.look(conversation);
    const before = performance.now() - LINGER_MS;
    for (const [conversation, sinceMs] of this.#over) {
      if (sinceMs > before) break;
      this.#forget(conversation, true);
    }
  }

  #isBusy(conversation: Conversation): boolean {
    conversation.commit();
    const { transactions, hasPendingBytes } = conversation;
    return transactions.length > 0 || hasPendingBytes || this.#moves.has(conversation);
  }

  /** Those that leave the table pass on unprotected, if they are still there; one that has no back end has nowhere to go. */
  #makeRoom(): void {
    const { datapath, tally, speaker } = this.#deps;
    if (!this.#room.isDue(datapath.used, monotonicMs())) return;
    const occupants = [...this.#bySlot.values()].map(conversation => ({
      conversation,
      slot: conversation.slot,
      isBusy: this.#isBusy(conversation),
    }));
    const { gone, evicted } = this.#room.choose(occupants, datapath.used, monotonicMs());
    tally.gone += gone.length;
    tally.evicted += evicted.length;
    for (const { conversation } of [...gone, ...evicted]) {
      const { id, slot, backend, unprotected } = conversation;
      const isLost = (!backend && unprotected === undefined) || datapath.isGuarding;
      if (isLost) speaker.reset(id, datapath.tracks.clientAck(slot));
      this.#forget(conversation, true);
    }
  }

  /** @param ownsVip whether nobody else uses its addresses */
  #forget(conversation: Conversation, ownsVip: boolean): void {
    const { datapath, backends } = this.#deps;
    const { client, vip, clientPort, vipPort } = conversation.id;
    this.#moves.get(conversation)?.close();
    this.#deps.timeline.forget(conversation);
    this.#drains.forget(conversation);
    this.#attended.delete(conversation);
    conversation.guard?.rest();
    // A judgement that comes later finds nothing to do.
    conversation.guard = undefined;
    this.#over.delete(conversation);
    if (conversation.backend) conversation.backend.active--;
    this.#bySlot.delete(conversation.slot);
    conversation.close();
    const keys = backends.all.map(({ address, port }) => ({
      ...{ client, clientPort },
      peer: address,
      peerPort: port,
    }));
    if (ownsVip) keys.push({ client, clientPort, peer: vip, peerPort: vipPort });
    for (const key of keys)
      if (datapath.flows.get(key)?.slot === conversation.slot) datapath.flows.delete(key);
    datapath.free(conversation.slot);
  }
}
