// The thread that answers probes and sends them. It has an event loop of its own, so that a busy main thread does not
// look dead (271 ms of silence were measured without it), yet it stops with the process.

import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { DatagramSocket, parseIp } from '@resplice/dataplane';
import { Opener, Sealer } from '@resplice/protocol';
import { monotonicMs } from './clock.ts';
import { Detector, type Target } from './detector.ts';
import type { LivenessInit, LivenessRequest, LivenessTarget, WorkerReport } from './liveness.ts';
import { LivenessMemory, TargetMemory } from './liveness-memory.ts';
import { decode, encodeAnswer, encodeProbe, LIVENESS_PURPOSE } from './probe.ts';

/** Probes of one target whose answers may still come; a power of two. */
const OUTSTANDING = 64;
/** After a lapse, answers wait so long for the main thread, in ms: most lapses come to nothing, and need not be told. */
const HOLD_MS = 15;

const { port, key, self, stallMs, lapseMs, shared, targets } = workerData as LivenessInit;
const memory = new LivenessMemory(shared);
const report = (message: WorkerReport) => parentPort!.postMessage(message);

// A probe that waits for a time slice looks like a dead host. The priority is this thread's alone (pid 0 means the caller); but
// where the kernel groups processes by session, it counts only inside the group, so the group's is raised too (sched(7)).
for (const raise of [() => setPriority(0, -10), () => writeFileSync('/proc/self/autogroup', '-10')]) {
  try {
    raise();
  } catch {
    // Needs CAP_SYS_NICE, and a kernel with autogroups; without, only the margin on a crowded machine is smaller.
  }
}

/**
 * When this thread last turned. Whoever was stopped for so long that others may have taken it for dead must not say that it is
 * ready before it knows what they did meanwhile. To be called before anything is said: after a stop, datagrams come before timers.
 */
let turnedMs = monotonicMs();
function turn(): void {
  const now = monotonicMs();
  if (now - turnedMs > lapseMs) lapse();
  turnedMs = now;
}
/** Answers that wait for the main thread. */
let held: (() => void)[] = [];
let lapsedMs = Number.NEGATIVE_INFINITY;
function lapse(): void {
  lapsedMs = monotonicMs();
  setTimeout(answerHeld, HOLD_MS).unref();
  memory.count('lapses');
  memory.lapse();
  report({ kind: 'lapsed' });
}
function answerHeld(): void {
  for (const answer of held) answer();
  held = [];
}
let isWithholding = false;

const sealer = new Sealer({ key, purpose: LIVENESS_PURPOSE, sender: self.id, epoch: self.epoch });
const opener = new Opener({ key, purpose: LIVENESS_PURPOSE });
// Anything but a failed bind would be a bug: it ends the worker, and with it the daemon.
const socket = new DatagramSocket({ address: 0, port });

/** @param address host order */
function send(payload: Uint8Array, address: number, toPort: number): void {
  // ENETUNREACH and the like: our link is cut. The missing answer tells the same.
  if (socket.send(sealer.seal(payload), address, toPort) !== undefined) memory.count('unsendable');
}

/** One target's probes in flight. */
class Course {
  readonly token: number;
  readonly memory: TargetMemory;
  readonly #numbers = new Uint32Array(OUTSTANDING);
  readonly #sentAt = new Float64Array(OUTSTANDING);
  // Not from 0: an answer to our predecessor must not pass for one to us.
  #next = (Math.random() * 2 ** 32) >>> 0;

  constructor({ token, memory: buffer }: LivenessTarget) {
    this.token = token;
    this.memory = new TargetMemory(buffer);
  }

  probe(target: Target): void {
    this.#next = (this.#next + 1) >>> 0;
    const slot = this.#next & (OUTSTANDING - 1);
    this.#numbers[slot] = this.#next;
    this.#sentAt[slot] = monotonicMs();
    memory.count('probes');
    send(encodeProbe(target.id, this.#next), parseIp(target.address), target.port);
  }

  /** False when no such probe was sent, or too long ago. */
  answered(number: number): boolean {
    const slot = number & (OUTSTANDING - 1);
    if (this.#numbers[slot] !== number || this.#sentAt[slot] === 0) return false;
    this.memory.heard((monotonicMs() - this.#sentAt[slot]!) * 1000);
    return true;
  }
}

let courses = new Map<number, Course>();
const detector = new Detector({
  changed: (target, state) => report({ kind: 'changed', token: courses.get(target.id)!.token, state }),
  suspectSelf: () => {
    memory.count('self_suspicions');
    report({ kind: 'suspectSelf' });
  },
  settled: () => report({ kind: 'settled' }),
});

/** Rounds of the targets with the same interval: they are probed together, so that their silences can be compared. */
class Rounds {
  readonly #intervalMs: number;
  #last = monotonicMs();
  #due = this.#last;
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
    this.#end();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #end(): void {
    turn();
    const at = monotonicMs();
    const late = at - this.#last > 2 * this.#intervalMs;
    if (late) memory.count('late_rounds');
    this.#last = at;
    this.#due = Math.max(this.#due + this.#intervalMs, at + this.#intervalMs / 2);
    this.#timer = setTimeout(() => this.#end(), Math.max(1, Math.round(this.#due - at)));
    // Timers run before input: look at the answers that wait in the socket first, then judge.
    setImmediate(() => {
      if (this.#timer === undefined) return;
      socket.drain();
      for (const target of detector.endRound(this.#intervalMs, at, late))
        courses.get(target.id)?.probe(target);
    });
  }
}

const rounds = new Map<number, Rounds>();

function setTargets(list: readonly LivenessTarget[]): void {
  detector.setTargets(list.map(({ target }) => target));
  const before = courses;
  courses = new Map();
  for (const item of list) {
    const old = before.get(item.target.id);
    courses.set(item.target.id, old?.token === item.token ? old : new Course(item));
  }
  const intervals = new Set(list.map(({ target }) => target.intervalMs));
  for (const [intervalMs, round] of rounds) {
    if (intervals.has(intervalMs)) continue;
    round.stop();
    rounds.delete(intervalMs);
  }
  for (const intervalMs of intervals) {
    if (!rounds.has(intervalMs)) rounds.set(intervalMs, new Rounds(intervalMs));
  }
}

socket.onDatagram((datagram, address, fromPort) => {
  turn();
  const opened = opener.open(datagram);
  if (opened.refused !== undefined) return memory.count('refused');
  const message = decode(opened.payload);
  if (message?.receiver !== self.id) return memory.count('unexpected');
  if (message.kind === 'probe') {
    // Alive is who can act: a process whose main thread hangs must not draw traffic.
    const stalls = memory.sinceBeat() > stallMs;
    if (stalls && !isWithholding && Number.isFinite(lapseMs)) lapse();
    isWithholding = stalls;
    if (stalls) return memory.count('withheld');
    memory.count('answers');
    const answer = () =>
      send(encodeAnswer(opened.sender, message.number, memory.ready, memory.status), address, fromPort);
    if (!memory.isLapsed || monotonicMs() - lapsedMs > HOLD_MS) return answer();
    held.push(answer);
    return;
  }
  if (!courses.get(opened.sender)?.answered(message.number)) return memory.count('unexpected');
  detector.heard(opened.sender, monotonicMs(), {
    epoch: opened.epoch,
    ready: message.ready,
    status: message.status,
  });
});

parentPort!.on('message', (request: LivenessRequest) => {
  if (request.kind === 'targets') return setTargets(request.targets);
  if (request.kind === 'settled') return answerHeld();
  setTargets([]);
  socket.close();
  parentPort!.close();
});

turnedMs = monotonicMs();
// Rounds may be rarer, or none, and probes of others too.
if (Number.isFinite(lapseMs)) setInterval(turn, lapseMs / 4).unref();
report({ kind: 'listening', port: socket.port });
setTargets(targets);
