/** A place in a buffer that moves on with each number read or written; all are big-endian. Beyond the buffer is a RangeError. */
export class Cursor {
  readonly #view: DataView;
  /** Offset of the next byte. */
  at: number;

  constructor(view: DataView, at = 0) {
    this.#view = view;
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#view.byteLength;
  }

  takeU8(): number {
    return this.#view.getUint8(this.#pass(1));
  }

  takeU16(): number {
    return this.#view.getUint16(this.#pass(2));
  }

  takeU32(): number {
    return this.#view.getUint32(this.#pass(4));
  }

  takeF64(): number {
    return this.#view.getFloat64(this.#pass(8));
  }

  takeFlag(): boolean {
    return this.takeU8() === 1;
  }

  /** A copy: a datagram's bytes are used again. */
  takeBytes(length: number): Uint8Array {
    const { buffer, byteOffset } = this.#view;
    const from = this.#pass(length);
    if (this.at > this.#view.byteLength) throw new RangeError('bytes cut short');
    return new Uint8Array(buffer, byteOffset + from, length).slice();
  }

  putU8(value: number): void {
    this.#view.setUint8(this.#pass(1), value);
  }

  putU16(value: number): void {
    this.#view.setUint16(this.#pass(2), value);
  }

  putU32(value: number): void {
    this.#view.setUint32(this.#pass(4), value);
  }

  putF64(value: number): void {
    this.#view.setFloat64(this.#pass(8), value);
  }

  putFlag(value: boolean): void {
    this.putU8(value ? 1 : 0);
  }

  putBytes(bytes: Uint8Array): void {
    const { buffer, byteOffset } = this.#view;
    new Uint8Array(buffer, byteOffset + this.#pass(bytes.length), bytes.length).set(bytes);
  }

  #pass(bytes: number): number {
    const { at } = this;
    this.at += bytes;
    return at;
  }
}
