import { formatIp } from '@resplice/dataplane';
import { epochMs } from '@resplice/service-kit/clock';
import type { Conversation } from './conversation.ts';
import { monotonicMs } from './watchman.ts';

/** Connections whose steps are kept; of more, those to which nothing has happened for longest are forgotten. */
export const MOST_TRACES = 1024;
/** Steps of one connection that are kept: the newest. */
export const MOST_STEPS = 64;

export interface Step {
  /** Wall clock, ms since 1970, with fractions. */
  atMs: number;
  /** Which of the connection's moves it belongs to, from 1. */
  move: number;
  what: string;
}

/** What happened to one connection. */
export interface Trace {
  /** Host order. */
  readonly client: number;
  readonly clientPort: number;
  readonly vip: string;
  /** Wall clock, ms since 1970. */
  readonly openedMs: number;
  /** Moves so far. */
  moves: number;
  /** Older steps that are kept no more. */
  dropped: number;
  readonly steps: Step[];
}

type Traced = Pick<Conversation, 'id' | 'slot' | 'generation' | 'openedMs'>;

/** What happened to connections that changed their back ends, for `./resplice trace`. */
export class Timeline {
  /** The one to which something happened last comes last. */
  readonly #traces = new Map<string, Trace>();
  /** Those that have a new back end from which nothing has come yet, with the offset behind what the client had heard. */
  readonly #awaiting = new Map<Traced, number>();

  /**
   * Something that makes it leave its back end.
   *
   * @param what begins with `suspected`, `idle` or `drained` where it had one
   */
  begin(conversation: Traced, what: string): void {
    this.#awaiting.delete(conversation);
    const trace = this.#traceOf(conversation);
    trace.moves++;
    this.#add(trace, what, monotonicMs());
  }

  /**
   * What happens to it since; nothing is kept of connections for which nothing has begun.
   *
   * @param timeMs CLOCK_MONOTONIC; now if absent
   */
  note(conversation: Traced, what: string, timeMs = monotonicMs()): void {
    if (this.of(conversation)) this.#add(this.#traceOf(conversation), what, timeMs);
  }

  /** @param heard offset behind the last byte that the client may have heard of its former back end */
  awaitFirstByte(conversation: Traced, heard: number): void {
    this.#awaiting.set(conversation, heard);
  }

  /**
   * Bytes of the server's have gone on to the client.
   *
   * @param behind offset behind the last of them
   * @param timeMs CLOCK_MONOTONIC
   */
  serverBytes(conversation: Traced, behind: number, timeMs: number): void {
    const heard = this.#awaiting.get(conversation);
    if (heard === undefined || behind <= heard) return;
    this.#awaiting.delete(conversation);
    this.note(conversation, 'first byte', timeMs);
  }

  /** It is over: its steps stay. */
  forget(conversation: Traced): void {
    this.#awaiting.delete(conversation);
  }

  /**
   * The newest connection of that client to which anything has happened.
   *
   * @param client host order
   * @param port undefined: any
   */
  find(client: number, port: number | undefined): Trace | undefined {
    let newest: Trace | undefined;
    for (const trace of this.#traces.values()) {
      if (trace.client !== client || (port !== undefined && trace.clientPort !== port)) continue;
      if (!newest || trace.openedMs >= newest.openedMs) newest = trace;
    }
    return newest;
  }

  /** Connections of which steps are kept. */
  get size(): number {
    return this.#traces.size;
  }

  of({ slot, generation }: Traced): Trace | undefined {
    return this.#traces.get(`${slot} ${generation}`);
  }

  #traceOf({ id, slot, generation, openedMs }: Traced): Trace {
    const key = `${slot} ${generation}`;
    const trace = this.#traces.get(key) ?? {
      client: id.client,
      clientPort: id.clientPort,
      vip: `${formatIp(id.vip)}:${id.vipPort}`,
      openedMs,
      moves: 0,
      dropped: 0,
      steps: [],
    };
    this.#traces.delete(key);
    this.#traces.set(key, trace);
    if (this.#traces.size > MOST_TRACES) {
      const [oldest] = this.#traces.keys();
      this.#traces.delete(oldest!);
    }
    return trace;
  }

  #add(trace: Trace, what: string, timeMs: number): void {
    const agoMs = monotonicMs() - timeMs;
    trace.steps.push({
      atMs: epochMs() - agoMs,
      move: trace.moves,
      what,
    });
    if (trace.steps.length <= MOST_STEPS) return;
    trace.steps.shift();
    trace.dropped++;
  }
}
