/** Pictures computed pixel by pixel: a number in [0, 1] for each point, coloured by a gradient. */
import { type Colour, gradient } from './colour.ts';
import { encodePng } from './png.ts';
import { fractal, noise, seeded } from './random.ts';

/** Value at (x, y); x runs over [0, 1.5), y over [0, 1). Values outside [0, 1] are clipped. */
type Field = (x: number, y: number) => number;

const WIDTH = 480;
const HEIGHT = 320;

function paint(field: Field, stops: readonly string[]): Buffer {
  const pixels = new Uint8Array(WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      // Half a step of noise hides the bands between two neighbouring colours.
      const value = field(x / HEIGHT, y / HEIGHT) * 255 + noise(x * 7.3, y * 7.3, 5) - 0.5;
      pixels[y * WIDTH + x] = Math.max(0, Math.min(255, Math.round(value)));
    }
  }
  const palette: readonly Colour[] = gradient(stops);
  return encodePng(WIDTH, HEIGHT, pixels, palette);
}

/** Rings from three sources, added up. */
export function interference(): Buffer {
  const sources = [
    [0.3, 0.25],
    [1.25, 0.4],
    [0.7, 1.15],
  ] as const;
  return paint(
    (x, y) => {
      let sum = 0;
      for (const [sx, sy] of sources) sum += Math.cos(Math.hypot(x - sx, y - sy) * 62);
      return 0.5 + sum / 6;
    },
    ['#0b1030', '#1d3b8b', '#3d7bd9', '#9fd3ff', '#fff4d6'],
  );
}

/** A map with lines of equal height. */
export function contours(): Buffer {
  return paint(
    (x, y) => {
      const height = fractal(x * 2.2 + 3, y * 2.2 + 1, 77);
      const line = Math.abs(((height * 18) % 1) - 0.5) * 2;
      return Math.min(1, height * 0.9) * (line < 0.12 ? 0.45 : 1);
    },
    ['#10222b', '#1f4e4b', '#3f8f6b', '#b7d58a', '#f7edc4', '#ffffff'],
  );
}

/** The Julia set of −0.79 + 0.15i. */
export function julia(): Buffer {
  return paint(
    (px, py) => {
      let x = (px - 0.75) * 2.3;
      let y = (py - 0.5) * 2.3;
      for (let i = 0; i < 160; i++) {
        const square = x * x + y * y;
        if (square > 64) {
          const t = (i + 1 - Math.log2(Math.log2(square) / 2)) / 70;
          return 0.04 + 0.96 * Math.sqrt(Math.min(1, Math.max(0, t)));
        }
        const next = x * x - y * y - 0.79;
        y = 2 * x * y + 0.15;
        x = next;
      }
      return 0;
    },
    ['#0a0716', '#2b0f54', '#7a1f6e', '#d64b4f', '#f9a35a', '#ffe9b0'],
  );
}

/** Noise bent by noise. */
export function marble(): Buffer {
  return paint(
    (x, y) => {
      const u = fractal(x * 2, y * 2, 11);
      const v = fractal(x * 2 + 5.2, y * 2 + 1.3, 12);
      const value = fractal(x * 2 + 3.4 * u, y * 2 + 3.4 * v, 13);
      return (value - 0.2) * 1.7;
    },
    ['#1a1423', '#372549', '#774c60', '#b75d69', '#eacdc2', '#fff8f0'],
  );
}

/** Cells around scattered points. */
export function cells(): Buffer {
  const random = seeded(2008);
  const points = Array.from(
    { length: 44 },
    () => [random() * 1.6 - 0.05, random() * 1.1 - 0.05, random()] as const,
  );
  return paint(
    (x, y) => {
      let nearest = 9;
      let second = 9;
      let tint = 0;
      for (const [px, py, shade] of points) {
        const distance = Math.hypot(x - px, y - py);
        if (distance < nearest) {
          second = nearest;
          nearest = distance;
          tint = shade;
        } else if (distance < second) second = distance;
      }
      const edge = Math.min(1, (second - nearest) * 22);
      return edge * (0.32 + 0.6 * tint - nearest * 1.1);
    },
    ['#06141b', '#0f3d4c', '#1f7a8c', '#5fb3a1', '#f2c57c', '#fff1d0'],
  );
}

/** A planet with weather, lit from the left. */
export function planet(): Buffer {
  return paint(
    (px, py) => {
      const x = (px - 0.82) / 0.4;
      const y = (py - 0.5) / 0.4;
      const square = x * x + y * y;
      if (square >= 1) {
        const star = noise(px * 170, py * 170, 31);
        const glow = Math.max(0, 1.25 - Math.sqrt(square)) * 0.22 * Math.max(0, 0.6 - x * 0.6);
        return star > 0.985 ? 0.75 * star : glow;
      }
      const z = Math.sqrt(1 - square);
      const light = Math.max(0, -0.72 * x - 0.32 * y + 0.62 * z);
      const bands = fractal(x * 1.4 + 7 + 0.5 * fractal(y * 3, x * 2, 4), y * 5.5 + 0.6 * x * x, 21);
      return 0.03 + light * (0.28 + 0.72 * bands);
    },
    ['#05060f', '#171a3d', '#43347a', '#a0527f', '#ef946c', '#ffe2ae'],
  );
}
