import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { macKey } from '@resplice/kit-channel';

/**
 * A transaction's chance: unpredictable without the kits' key, and the same wherever the transaction runs, so that nothing of
 * it need be shipped. HMAC-SHA256 of a counter, under a key that is the HMAC of the transaction's ID.
 */
export class Randomness {
  readonly #key: KeyObject;
  #counter = 0;
  #left: Buffer = Buffer.alloc(0);

  constructor(kitKey: Uint8Array, transaction: string) {
    const mac = createHmac('sha256', macKey(kitKey)).update('random').update(transaction).digest();
    this.#key = createSecretKey(mac);
  }

  /** The next bytes of the stream. */
  take(length: number): Buffer<ArrayBuffer> {
    const taken = Buffer.alloc(length);
    for (let at = 0; at < length; ) {
      if (this.#left.length === 0) this.#left = this.#block();
      const copied = this.#left.copy(taken, at);
      this.#left = this.#left.subarray(copied);
      at += copied;
    }
    return taken;
  }

  #block(): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.#counter++);
    return createHmac('sha256', this.#key).update(counter).digest();
  }
}
