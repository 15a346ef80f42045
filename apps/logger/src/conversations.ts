import { parseOptions } from '@resplice/dataplane';
import type { ClientOffer } from '@resplice/protocol';
import { type Backend, NO_WINDOW_SCALE } from '@resplice/splice';
import { adopt } from './adoption.ts';
import type { Commits } from './commits.ts';
import { Conversation, type ConversationEvents } from './conversation.ts';
import { Detector, RequestClasses } from './detector/index.ts';
import { Drains } from './drains.ts';
import { Endings } from './endings.ts';
import { Gap } from './gap.ts';
import { Guards } from './guards.ts';
import { RecordPool } from './http/record-pool.ts';
import { Intake, type IntakeDeps } from './intake.ts';
import { type LogEvent, LogType, type Track } from './layout.generated.ts';
import { Moves, type MovesDeps } from './moves.ts';
import type { RequestStore } from './request-store.ts';
import { Room } from './room.ts';
import type { Rules } from './rules.ts';
import { SlowHeads, type SlowHeadsDeps } from './slow-heads.ts';
import { StalledUploads } from './stalled-uploads.ts';
import { Strangers } from './strangers.ts';
import { Suspicions } from './suspicions.ts';
import { traceOf } from './trace.ts';
import type { Treatments } from './treatments.ts';
import { type ConversationView, stateOf, viewOf } from './view.ts';
import { LOOK_MS, monotonicMs, Watchman } from './watchman.ts';

/** Room for the beginnings of responses, bytes; a response that has none is not protected once it has begun. */
const RECORDS_BYTES = 1 << 30;
/** Between two looks at how full the table is, ms. */
const ROOM_MS = 1000;
/** Connections that /status lists at most. */
const MOST_VIEWS = 1000;

export interface ConversationsDeps
  extends Omit<MovesDeps, 'tracks' | 'onDelivered' | 'onEnd' | 'onDead' | 'onLeave' | 'isOver' | 'isIdle'> {
  backends: IntakeDeps['backends'];
  treatments: Treatments;
  rules: Rules;
  store: RequestStore;
  limits: SlowHeadsDeps['limits'];
  commits: Commits;
  /** Whether the application of a back end answers anybody. */
  ask(backend: Backend): Promise<boolean>;
}

/** All connections that pass: hands each event of the kernel half to the one that it is about. */
export class Conversations {
  readonly #deps: ConversationsDeps;
  readonly #bySlot = new Map<number, Conversation>();
  readonly #moves: Moves;
  readonly #endings: Endings;
  readonly #intake: Intake;
  readonly #guards: Guards;
  readonly #slowHeads: SlowHeads;
  readonly #drains: Drains;
  readonly #watchman: Watchman;
  readonly #suspicions: Suspicions;
  readonly #stalledUploads: StalledUploads;
  readonly #strangers: Strangers;
  readonly #gap: Gap;
  readonly #room: Room;
  readonly #records = new RecordPool(RECORDS_BYTES);
  readonly #events: ConversationEvents;
  #timer: NodeJS.Timeout | undefined;
  #roomTimer: NodeJS.Timeout | undefined;

  constructor(deps: ConversationsDeps) {
    const { datapath, wire, speaker, tally, timeline, backends, ask, log } = deps;
    const { tracks } = datapath;
    this.#deps = deps;
    this.#watchman = new Watchman(new Detector(), tracks);
    const isOver = (conversation: Conversation) => this.#endings.isOver(conversation);
    const isBusy = (conversation: Conversation) =>
      moves.has(conversation) || isOver(conversation) || this.#drains.isLeaving(conversation);
    const moves = new Moves({
      ...deps,
      ...{ tracks, isOver },
      isIdle: conversation => !this.#drains.isLeaving(conversation) && isIdle(conversation),
      onDelivered: (conversation, backend) => this.#expect(conversation, backend),
      onLeave: conversation => this.#drains.forget(conversation),
      onEnd: conversation => this.#endings.serverEnded(conversation),
      onDead: conversation => this.#endings.end(conversation),
    });
    this.#moves = moves;
    this.#endings = new Endings({
      ...{ datapath, speaker, tally, moves, log, ask },
      onOver: conversation => this.#rest(conversation),
    });
    this.#drains = new Drains({
      ...{ datapath, wire },
      isBusy: conversation => moves.has(conversation) || isOver(conversation),
      hasAlternate: backend => backends.all.some(each => each.up && each !== backend),
      move: (conversation, why) => moves.begin(conversation, why),
    });
    this.#guards = new Guards({
      ...{ datapath, wire, speaker, tally, isOver, rules: deps.rules },
      isBusy,
      // One that wakes up may have lost its back end: then there is a trace that this belongs to.
      move: (each, why) => moves.begin(each, why, each.backend !== undefined || !timeline.of(each)),
      abandon: (each, why) => {
        each.giveUp(why);
        moves.abandon(each);
      },
      judged: each => {
        const move = moves.get(each);
        if (move) move.judged();
        else each.guard?.look();
      },
      delivered: each => this.#expect(each),
    });
    this.#slowHeads = new SlowHeads({
      ...{ datapath, wire, tally, isBusy, limits: deps.limits },
      move: (conversation, why) => moves.begin(conversation, why, true),
    });
    this.#intake = new Intake({
      ...{ datapath, backends, wire, speaker, tally, timeline, moves },
      ...{ drains: this.#drains, endings: this.#endings, slowHeads: this.#slowHeads },
    });
    this.#suspicions = new Suspicions({
      ...{ backends, timeline, tally, ask },
      fail: conversation => moves.timedOut(conversation),
    });
    this.#stalledUploads = new StalledUploads({
      ...{ backends, ask },
      holderOf: conversation => this.#holderOf(conversation),
      fail: conversation => moves.timedOut(conversation),
    });
    this.#strangers = new Strangers({ datapath, backends, wire, speaker, tally });
    this.#gap = new Gap({ ...{ tracks, speaker, tally }, conversations: () => this.#settled() });
    this.#room = new Room(tracks);
    const classes = new RequestClasses();
    this.#events = {
      treatmentOf: ({ id }, head) => deps.treatments.of(id.vipPort, head),
      requestBegan: (conversation, transaction, head) => {
        const { id, guard, isForwarded } = conversation;
        tally.transactions++;
        if (head.body !== 'none') this.#stalledUploads.begin(conversation, transaction);
        if (!isForwarded) guard?.judge(transaction, head);
        const { treatment } = transaction;
        transaction.requestClass = classes.of(id.vipPort, treatment, head.place);
      },
      requestEnded: (conversation, transaction) => {
        this.#stalledUploads.end(conversation);
        if (transaction.delivered && conversation.open === transaction) this.#expect(conversation);
      },
      committed: (conversation, transaction) => deps.commits.add(conversation, transaction),
      abandoned: (conversation, transaction) => deps.commits.abandon(conversation, transaction),
      requestsLost: conversation => {
        tally.requestsTooLong++;
        moves.get(conversation)?.again();
      },
      responseBegan: (_conversation, { watch }) => watch?.firstByte(monotonicMs()),
      responseEnded: (conversation, transaction) => {
        this.#watchman.end(transaction);
        if (transaction.treatment.journal !== 'none') deps.commits.await(conversation);
        this.#expect(conversation);
        moves.get(conversation)?.look();
      },
    };
  }

  /** The next response is due, if the request for it is complete. */
  #expect(conversation: Conversation, backend = conversation.backend): void {
    const { open } = conversation;
    if (!open || !backend || open.requestEnd === undefined || !open.delivered) return;
    this.#watchman.begin(conversation, open, backend, monotonicMs());
  }

  /** Who has it, or is to have it next. */
  #holderOf(conversation: Conversation): Backend | undefined {
    return (this.#moves.get(conversation) ?? conversation).backend;
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
    this.#moves.close();
    this.#drains.close();
    this.#gap.close();
  }

  status() {
    const living = [...this.#living()];
    return {
      connections: living
        .slice(-MOST_VIEWS)
        .map(each => viewOf(each, this.#moves.has(each), this.#deps.kits)),
      draining: this.#drains.views(living),
    };
  }

  /** How many are in that state. */
  count(state: ConversationView['state']): number {
    let count = 0;
    for (const each of this.#living()) if (stateOf(each, this.#moves.has(each)) === state) count++;
    return count;
  }

  /** @param client `address:port`, or an address: its newest connection */
  trace(client: string) {
    const { timeline, kits } = this.#deps;
    return traceOf(client, [...this.#living()], timeline, each => viewOf(each, this.#moves.has(each), kits));
  }

  /** These back ends are to be empty: their connections leave when nothing is under way. */
  drain(backends: Iterable<Backend>): void {
    this.#drains.set(backends);
  }

  /** What it had in hand for clients is lost. */
  proxyDied(): void {
    this.#gap.open();
  }

  /**
   * Moves every connection that it holds: those whose clients wait first, then the others, which have time until somebody speaks.
   * @param isCertain whether those leave as well that nobody can go on with
   */
  backendDied(backend: Backend, isCertain: boolean): void {
    const all = [...this.#bySlot.values()];
    for (const isOpen of [true, false])
      for (const conversation of all)
        if ((conversation.open !== undefined) === isOpen)
          this.#moves.backendDied(conversation, backend, isCertain);
  }

  /** Follows other rules: for connections that were not guarded yet, from the next request on. */
  followRules(): void {
    this.#guards.followRules(this.#bySlot.values());
  }

  *#living(): Generator<Conversation> {
    for (const each of this.#bySlot.values()) if (!this.#endings.isOver(each)) yield each;
  }

  *#settled(): Generator<Conversation> {
    for (const each of this.#living()) if (!this.#moves.has(each)) yield each;
  }

  readonly #receive = (event: LogEvent, bytes: Uint8Array, start: number, end: number): void => {
    if (event.type === LogType.LOG_REPLY) {
      this.#reply(event, bytes, start, end);
      return;
    }
    if (event.type === LogType.LOG_STRAY) {
      this.#strangers.end(event);
      return;
    }
    if (event.type === LogType.LOG_OPENED) {
      this.#opened(event, bytes, start, end);
      return;
    }
    const conversation = this.#bySlot.get(event.slot);
    if (!conversation || conversation.generation !== event.generation) {
      this.#strangers.letPass(event);
      return;
    }
    if (conversation.unprotected === undefined && this.#deps.datapath.tracks.isUnattended(event.slot))
      conversation.giveUp('some of it passed while nobody read the log');
    if (event.type === LogType.LOG_ENDED) this.#forget(conversation, false);
    else if (event.type === LogType.LOG_CLIENT)
      this.#intake.fromClient(conversation, event, bytes, start, end);
    else this.#intake.fromServer(conversation, event, bytes, start, end);
  };

  #reply(event: LogEvent, bytes: Uint8Array, start: number, end: number): void {
    const { backends, alternates, dialer } = this.#deps;
    const backend = backends.all.find(each => each.address === event.backend);
    if (!backend) return;
    alternates.learnStation(backend, event.mac);
    dialer.receive({ ...event, options: end - start, optionBytes: bytes.subarray(start, end) });
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
    this.#add(event.slot, track, offer).isExpendable = !this.#deps.rules.protects(track.vipPort);
  }

  #add(slot: number, track: Track, offer: ClientOffer): Conversation {
    const { client, vip, clientPort, vipPort, isn, p0, generation } = track;
    const conversation = new Conversation(
      { slot, generation, id: { client, vip, clientPort, vipPort, isn }, p0, offer },
      this.#deps.datapath.tracks,
      this.#records,
      this.#events,
      this.#deps.store,
    );
    this.#bySlot.set(slot, conversation);
    this.#guards.begin(conversation, track.guarded !== 0);
    return conversation;
  }

  /** Goes on with the connections of a former daemon. */
  #adopt(): void {
    const { backends, datapath, speaker, tally, log } = this.#deps;
    const { adopted, abandoned } = adopt(datapath, {
      add: (slot, track, offer) => this.#add(slot, track, offer),
      bind: (conversation, address) =>
        conversation.bindTo(backends.all.find(each => each.address === address)),
      isExpendable: track => !this.#deps.rules.protects(track.vipPort),
      letGo: conversation => this.#endings.letGo(conversation),
      end: conversation => this.#endings.end(conversation),
      reset: conversation => {
        this.#endings.letGo(conversation);
        speaker.reset(conversation.id, datapath.tracks.clientAck(conversation.slot));
        this.#endings.end(conversation);
      },
      move: (conversation, why) => this.#moves.begin(conversation, why),
      receive: this.#receive,
    });
    tally.adopted = adopted;
    tally.abandoned = abandoned;
    if (adopted + abandoned > 0)
      log.info({ adopted, abandoned }, 'went on with connections of a former daemon');
  }

  #sweep(): void {
    this.#watchman.look(this.#deps.datapath.pending > 0, (conversation, transaction) => {
      const backend = this.#holderOf(conversation);
      if (backend) this.#suspicions.suspect(conversation, transaction, backend);
      else this.#moves.timedOut(conversation);
    });
    this.#stalledUploads.look();
    this.#moves.look();
    this.#guards.look();
    this.#slowHeads.look();
    if (!this.#drains.isIdle)
      for (const conversation of this.#bySlot.values()) this.#drains.look(conversation);
    for (const conversation of this.#endings.expired()) this.#forget(conversation, true);
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

  /** Nothing is under way for it any more. */
  #rest(conversation: Conversation): void {
    this.#watchman.forget(conversation);
    this.#drains.forget(conversation);
    this.#guards.forget(conversation);
    this.#slowHeads.forget(conversation);
    this.#stalledUploads.end(conversation);
    this.#moves.forget(conversation);
  }

  /** @param ownsVip whether nobody else uses its addresses */
  #forget(conversation: Conversation, ownsVip: boolean): void {
    const { datapath, backends } = this.#deps;
    const { client, vip, clientPort, vipPort } = conversation.id;
    this.#rest(conversation);
    this.#deps.timeline.forget(conversation);
    // A judgement that comes later finds nothing to do.
    conversation.guard = undefined;
    this.#endings.forget(conversation);
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

/** Whether nothing is under way for it, nor has come of what is next, and no end of it. */
function isIdle(conversation: Conversation): boolean {
  conversation.commit();
  const { transactions, hasPendingBytes, guard, unprotected, clientEnd, closes, ended } = conversation;
  const isQuiet = transactions.length === 0 && !hasPendingBytes;
  return isQuiet && !guard && unprotected === undefined && clientEnd === undefined && !closes && !ended;
}
