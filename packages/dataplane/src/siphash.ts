/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that an attacker without the key cannot predict, and that BPF
 * can compute as well. It makes our cookies and the tag of the identity option.
 *
 * JavaScript has no fast 64-bit integers, so every 64-bit word is a pair of 32-bit halves held in local variables.
 */

/** A 64-bit result as two unsigned 32-bit halves. */
export interface Hash64 {
  hi: number;
  lo: number;
}

/**
 * @param key 16 bytes
 * @param data the message
 * @param length how many bytes of `data` belong to the message; all of them if absent
 * @throws RangeError if the key is not 16 bytes long
 */
export function siphash24(key: Uint8Array, data: Uint8Array, length = data.length): Hash64 {
  if (key.length !== 16) throw new RangeError(`a SipHash key has 16 bytes, this one has ${key.length}`);
  const k0l = word(key, 0);
  const k0h = word(key, 4);
  const k1l = word(key, 8);
  const k1h = word(key, 12);
  // "somepseudorandomlygeneratedbytes", as the paper's initial state
  let v0h = k0h ^ 0x736f6d65;
  let v0l = k0l ^ 0x70736575;
  let v1h = k1h ^ 0x646f7261;
  let v1l = k1l ^ 0x6e646f6d;
  let v2h = k0h ^ 0x6c796765;
  let v2l = k0l ^ 0x6e657261;
  let v3h = k1h ^ 0x74656462;
  let v3l = k1l ^ 0x79746573;

  const tail = length & ~7;
  // Blocks of the message (two rounds each), then the final block with the length, then four finalization rounds.
  for (let offset = 0; offset <= tail + 8; offset += 8) {
    let ml = 0;
    let mh = 0;
    let rounds = 2;
    if (offset < tail) {
      ml = word(data, offset);
      mh = word(data, offset + 4);
    } else if (offset === tail) {
      for (let i = length - 1; i >= tail; i--) {
        mh = (mh << 8) | (ml >>> 24);
        ml = (ml << 8) | (data[i] as number);
      }
      mh |= (length & 255) << 24;
    } else {
      v2l ^= 0xff;
      rounds = 4;
    }
    v3h ^= mh;
    v3l ^= ml;
    for (let round = 0; round < rounds; round++) {
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      let low = (v0l >>> 0) + (v1l >>> 0);
      v0h = (v0h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
      v0l = low | 0;
      let high = (v1h << 13) | (v1l >>> 19);
      v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
      v1h = high ^ v0h;
      high = v0h;
      v0h = v0l;
      v0l = high;
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      low = (v2l >>> 0) + (v3l >>> 0);
      v2h = (v2h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
      v2l = low | 0;
      high = (v3h << 16) | (v3l >>> 16);
      v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
      v3h = high ^ v2h;
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      low = (v0l >>> 0) + (v3l >>> 0);
      v0h = (v0h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
      v0l = low | 0;
      high = (v3h << 21) | (v3l >>> 11);
      v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
      v3h = high ^ v0h;
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      low = (v2l >>> 0) + (v1l >>> 0);
      v2h = (v2h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
      v2l = low | 0;
      high = (v1h << 17) | (v1l >>> 15);
      v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
      v1h = high ^ v2h;
      high = v2h;
      v2h = v2l;
      v2l = high;
    }
    v0h ^= mh;
    v0l ^= ml;
  }
  return { hi: (v0h ^ v1h ^ v2h ^ v3h) >>> 0, lo: (v0l ^ v1l ^ v2l ^ v3l) >>> 0 };
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
