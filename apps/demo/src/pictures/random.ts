/** Seeded randomness: the same seed draws the same picture on every back end. */

/** A generator of numbers in [0, 1), by the mulberry32 recurrence. */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A random value in [0, 1) for a point of the integer lattice. */
function lattice(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

const smooth = (t: number): number => t * t * (3 - 2 * t);

/** Value noise in [0, 1), continuous in x and y. */
export function noise(x: number, y: number, seed: number): number {
  const column = Math.floor(x);
  const row = Math.floor(y);
  const tx = smooth(x - column);
  const ty = smooth(y - row);
  const top = lattice(column, row, seed) * (1 - tx) + lattice(column + 1, row, seed) * tx;
  const bottom = lattice(column, row + 1, seed) * (1 - tx) + lattice(column + 1, row + 1, seed) * tx;
  return top * (1 - ty) + bottom * ty;
}

/** Noise of several octaves, in [0, 1). */
export function fractal(x: number, y: number, seed: number, octaves = 5): number {
  let sum = 0;
  let weight = 0.5;
  let total = 0;
  for (let octave = 0; octave < octaves; octave++) {
    sum += weight * noise(x * 2 ** octave, y * 2 ** octave, seed + octave * 101);
    total += weight;
    weight /= 2;
  }
  return sum / total;
}
