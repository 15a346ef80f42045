/**
 * SHA-256 (FIPS 180-4) that takes its input piece by piece. The browser's own crypto.subtle wants the whole file at
 * once and is withheld from pages that came over plain http, as this one does.
 */

/** The first 32 bits of the fractional part of a number. */
const fraction = x => ((x - Math.floor(x)) * 2 ** 32) | 0;

const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every(p => n % p)) primes.push(n);
const K = Int32Array.from(primes, p => fraction(Math.cbrt(p)));

export class Sha256 {
  #state = Int32Array.from(primes.slice(0, 8), p => fraction(Math.sqrt(p)));
  #words = new Int32Array(64);
  #pending = new Uint8Array(64);
  #pendingLength = 0;
  #bytes = 0;

  /** @param {Uint8Array} data */
  update(data) {
    this.#bytes += data.length;
    let offset = 0;
    if (this.#pendingLength > 0) {
      offset = Math.min(64 - this.#pendingLength, data.length);
      this.#pending.set(data.subarray(0, offset), this.#pendingLength);
      this.#pendingLength += offset;
      if (this.#pendingLength < 64) return this;
      this.#block(this.#pending, 0);
      this.#pendingLength = 0;
    }
    for (; offset + 64 <= data.length; offset += 64) this.#block(data, offset);
    this.#pending.set(data.subarray(offset));
    this.#pendingLength = data.length - offset;
    return this;
  }

  /** Ends the message. @returns {string} 64 hexadecimal digits */
  digest() {
    const bits = this.#bytes * 8;
    const padding = new Uint8Array((this.#pendingLength < 56 ? 56 : 120) - this.#pendingLength + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits >>> 0);
    this.update(padding);
    return Array.from(this.#state, word => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #block(data, offset) {
    const w = this.#words;
    for (let i = 0, at = offset; i < 16; i++, at += 4) {
      w[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15];
      const y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    const s = this.#state;
    let a = s[0];
    let b = s[1];
    let c = s[2];
    let d = s[3];
    let e = s[4];
    let f = s[5];
    let g = s[6];
    let h = s[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
  }
}
