// A request's identity, and everything in it that chance or the clock would decide: given these, running it again on another
// back end has the same effect and the same answer (P4.6, P8.3, P9.2).

import { randomBytes } from 'node:crypto';
import {
  type KitConnection,
  randomTransactionId,
  type SessionChange,
  transactionId,
} from '@resplice/kit-channel';
import { Randomness } from './randomness.ts';

export interface Transaction {
  /** Unique for ever; for database effects and Message-IDs. Letters, digits, `-` and `_`. */
  readonly id: string;
  /** How often it had been taken over from another back end before; 0: never. */
  readonly attempt: number;
  /** The request's one instant. */
  readonly now: Date;
  /** Unpredictable bytes, the same sequence when the transaction is run again. */
  random(bytes: number): Buffer<ArrayBuffer>;
  /**
   * A value from outside that decides the answer (a price, a counter, another service's word). Run again, the transaction
   * gets the value of the first time. With the strategy `state` only; elsewhere it is what `make` returns.
   * @param make returns what JSON can hold
   * @throws Error when the response has begun: then it is too late to record anything
   */
  input<T>(name: string, make: () => T | Promise<T>): Promise<T>;
}

/** For requests that are never run again under the same name: without a kit, or unprotected. */
export class OwnTransaction implements Transaction {
  readonly attempt = 0;
  readonly now = new Date();
  #id: string | undefined;

  // Made when it is asked for: most reads never do.
  get id(): string {
    this.#id ??= randomTransactionId();
    return this.#id;
  }

  random(bytes: number): Buffer<ArrayBuffer> {
    return randomBytes(bytes);
  }

  async input<T>(_name: string, make: () => T | Promise<T>): Promise<T> {
    return await make();
  }
}

export interface Recorded {
  /** Epoch milliseconds. */
  readonly now: number;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** A request whose connection and number are known. */
export class KnownTransaction implements Transaction {
  readonly now: Date;
  readonly connection: KitConnection;
  readonly number: number;
  /** Changes of sessions that leave with the journal. */
  readonly sessions = new Map<string, SessionChange>();
  /** Whether a record is left of it. */
  readonly isJournalled: boolean;
  /** From now on nothing more can be recorded. */
  sealed = false;
  readonly #kitKey: Uint8Array;
  readonly #attemptOf: (id: string) => number;
  #id: string | undefined;
  #attempt: number | undefined;
  #random: Randomness | undefined;
  readonly #inputs = new Map<string, Promise<unknown>>();
  /** What is known of them so far, as JSON has it. */
  readonly inputs: Record<string, unknown>;

  constructor(options: {
    readonly kitKey: Uint8Array;
    readonly connection: KitConnection;
    readonly number: number;
    /** The latest attempt that is known. */
    readonly attemptOf: (id: string) => number;
    readonly isJournalled: boolean;
    readonly recorded?: Recorded | undefined;
    /** Where it is known already. */
    readonly id?: string;
  }) {
    const { kitKey, connection, number, attemptOf, isJournalled, recorded, id } = options;
    this.#id = id;
    this.#kitKey = kitKey;
    this.#attemptOf = attemptOf;
    this.isJournalled = isJournalled;
    this.connection = connection;
    this.number = number;
    this.now = recorded === undefined ? new Date() : new Date(recorded.now);
    this.inputs = { ...recorded?.inputs };
  }

  // These three are made when they are asked for: most reads never do, and a MAC costs as much as all else that a read takes.
  get id(): string {
    this.#id ??= transactionId(this.#kitKey, this.connection, this.number);
    return this.#id;
  }

  get attempt(): number {
    this.#attempt ??= this.#attemptOf(this.id);
    return this.#attempt;
  }

  random(bytes: number): Buffer<ArrayBuffer> {
    this.#random ??= new Randomness(this.#kitKey, this.id);
    return this.#random.take(bytes);
  }

  input<T>(name: string, make: () => T | Promise<T>): Promise<T> {
    if (Object.hasOwn(this.inputs, name)) return Promise.resolve(this.inputs[name] as T);
    let made = this.#inputs.get(name) as Promise<T> | undefined;
    if (made === undefined) {
      made = this.#make(name, make);
      this.#inputs.set(name, made);
    }
    return made;
  }

  async #make<T>(name: string, make: () => T | Promise<T>): Promise<T> {
    const value = await make();
    if (!this.isJournalled) return value;
    if (this.sealed) {
      throw new Error(`input ${name}: the response has begun, so it cannot be recorded: ask for it before`);
    }
    // What a later run gets has been through JSON: then so has what this one gets.
    const text = JSON.stringify(value);
    const same = text === undefined ? undefined : JSON.parse(text);
    this.inputs[name] = same ?? null;
    return this.inputs[name] as T;
  }
}
