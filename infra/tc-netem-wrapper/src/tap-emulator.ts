import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Backend, LinkCounters, Site } from './backend.ts';
import type { LineCounters } from './delay-line.ts';
import { counterNames, type EmulatorData, type EmulatorMessage, Shared } from './emulator-protocol.ts';
import { addressOf, close, openBell, write } from './libc.ts';
import type { Namespace } from './namespace.ts';
import type { Shape } from './shape.ts';

/** Packets that may be under way in a direction: 16,384 full ones are 300 ms at 660 Mbit/s. */
const CAPACITY = 16_384;
/** Ethernet header and a VLAN tag, rounded so that slots begin on cache lines. */
const FRAME_EXTRA = 18;
const CACHE_LINE = 64;
/** Frames that wait in a device while the thread does not get the processor; the default of 500 is 12 ms at 40,000/s. */
const DEVICE_QUEUE = 8192;
const CHANGE_DEADLINE_MS = 5000;

/** Emulation in user space: two TAP devices and a thread that carries frames from one to the other, late. */
export class TapEmulator implements Backend {
  readonly name = 'tap';
  readonly seed: number;
  readonly died: Promise<never>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #bell: number;
  readonly #state: Int32Array;
  readonly #counters: readonly [Float64Array, Float64Array];
  #stopped = false;

  /** @throws Error when the machine has no TUN/TAP device, or a device of that name exists */
  static async start(
    namespace: Namespace,
    { own, mtu }: Site,
    shape: Shape,
    seed: number,
  ): Promise<TapEmulator> {
    const shared = new SharedArrayBuffer(Shared.bytes);
    const { port1, port2 } = new MessageChannel();
    const bell = openBell();
    const workerData: EmulatorData = {
      namespace: namespace.path,
      devices: [own.a, own.b],
      bell,
      seed,
      shared,
      slotBytes: Math.ceil((mtu + FRAME_EXTRA) / CACHE_LINE) * CACHE_LINE,
      capacity: CAPACITY,
      port: port2,
    };
    const worker = new Worker(new URL('./emulator-worker.ts', import.meta.url), {
      workerData,
      transferList: [port2],
    });
    const emulator = new TapEmulator(worker, port1, bell, shared, seed);
    try {
      await Promise.race([once(worker, 'message'), emulator.died]);
      await emulator.change(shape);
      await namespace.silence([own.a, own.b]);
      await namespace.batch('ip', [
        ...[own.a, own.b].map(each => `link set ${each} mtu ${mtu} txqueuelen ${DEVICE_QUEUE}`),
        `link set ${own.a} master ${own.nearBridge} up`,
        `link set ${own.b} master ${own.farBridge} up`,
      ]);
      return emulator;
    } catch (error) {
      await emulator.stop();
      throw error;
    }
  }

  private constructor(
    worker: Worker,
    port: MessagePort,
    bell: number,
    shared: SharedArrayBuffer,
    seed: number,
  ) {
    this.seed = seed;
    this.#worker = worker;
    this.#port = port;
    this.#bell = bell;
    this.#state = new Int32Array(shared, Shared.state, Shared.words);
    const counters = (direction: number) =>
      new Float64Array(shared, Shared.counters + direction * counterNames.length * 8, counterNames.length);
    this.#counters = [counters(0), counters(1)];
    this.died = new Promise((_, reject) => {
      worker.once('error', error => reject(new Error("the link's emulator has died", { cause: error })));
      worker.once('exit', () => this.#stopped || reject(new Error("the link's emulator has ended")));
    });
    // The thread's devices are the process's: whatever has ended the thread, they go now, and the link is dead.
    worker.once('exit', () => {
      for (const word of [Shared.near, Shared.far]) if (this.#state[word]! > 0) close(this.#state[word]!);
    });
    // Who does not ask need not hear of it.
    this.died.catch(() => {});
    port.unref();
  }

  async change(shape: Shape): Promise<void> {
    await this.#tell(shape);
  }

  async counters(): Promise<LinkCounters> {
    const [there, back] = this.#counters.map(
      each => Object.fromEntries(counterNames.map((name, i) => [name, each[i]])) as unknown as LineCounters,
    );
    return { there: there!, back: back! };
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#worker.threadId > 0) {
      const gone = once(this.#worker, 'exit');
      this.#post('stop');
      await gone;
    }
    this.#port.close();
    close(this.#bell);
  }

  #post(message: EmulatorMessage): void {
    this.#port.postMessage(message);
    write(this.#bell, addressOf(new BigUint64Array([1n]).buffer), 8);
  }

  /** Resolves when the thread has read it. */
  async #tell(message: EmulatorMessage): Promise<void> {
    const before = Atomics.load(this.#state, Shared.answers);
    const answered = Atomics.waitAsync(this.#state, Shared.answers, before, CHANGE_DEADLINE_MS);
    this.#post(message);
    const outcome = await Promise.race([answered.value, this.died]);
    if (outcome === 'timed-out')
      throw new Error(`the link's emulator has not answered for ${CHANGE_DEADLINE_MS} ms`);
  }
}
