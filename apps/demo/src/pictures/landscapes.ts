/** Vector pictures: ridges that fade with distance under a sky, each at another hour. */
import { blend, colour, hex } from './colour.ts';
import { fractal, seeded } from './random.ts';

export interface Hour {
  readonly seed: number;
  /** From the zenith to the horizon. */
  readonly sky: readonly [string, string, string];
  /** Sun or moon: centre and radius in the picture's units (480 by 320). */
  readonly light: { readonly x: number; readonly y: number; readonly radius: number; readonly fill: string };
  /** Farthest and nearest ridge. */
  readonly ridges: readonly [string, string];
  readonly stars?: number;
  readonly trees?: boolean;
}

const WIDTH = 480;
const HEIGHT = 320;
const RIDGES = 6;

const round = (value: number): string => value.toFixed(1);

function ridgeTop(seed: number, depth: number, x: number): number {
  const floor = 150 + depth * 165;
  const height = 95 - depth * 40;
  return floor - height * (fractal(x / (150 - depth * 30) + depth * 9, depth * 4.7, seed, 6) * 1.7 - 0.35);
}

function ridge(hour: Hour, index: number): string {
  const depth = index / (RIDGES - 1);
  const fill = hex(blend(colour(hour.ridges[0]), colour(hour.ridges[1]), depth));
  const points: string[] = [];
  for (let x = 0; x <= WIDTH; x += 4) points.push(`${x} ${round(ridgeTop(hour.seed, depth, x))}`);
  return `<path fill="${fill}" d="M0 ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z"/>`;
}

function trees(hour: Hour): string {
  const random = seeded(hour.seed * 31);
  const shapes: string[] = [];
  for (let x = -6; x < WIDTH + 6; x += 5 + random() * 12) {
    const foot = ridgeTop(hour.seed, 1, x) + 7;
    const tall = 14 + random() * 26;
    const wide = tall * 0.2;
    for (let tier = 0; tier < 3; tier++) {
      const top = foot - tall + (tall * tier) / 4.2;
      const spread = wide * (0.55 + tier * 0.28);
      shapes.push(`M${round(x)} ${round(top)}l${round(spread)} ${round(tall * 0.44)}h${round(-2 * spread)}Z`);
    }
  }
  const fill = hex(blend(colour(hour.ridges[1]), [0, 0, 0], 0.35));
  return `<path fill="${fill}" d="${shapes.join('')}"/>`;
}

function stars(hour: Hour): string {
  const random = seeded(hour.seed * 17);
  return Array.from({ length: hour.stars ?? 0 }, () => {
    const [x, y, size] = [random() * WIDTH, random() ** 1.6 * 190, 0.35 + random() ** 3 * 1.1];
    return `<circle cx="${round(x)}" cy="${round(y)}" r="${round(size)}" opacity="${round(0.4 + random() * 0.6)}"/>`;
  }).join('');
}

export function landscape(hour: Hour): Buffer {
  const { light, sky } = hour;
  const layers = Array.from({ length: RIDGES }, (_, index) => ridge(hour, index)).join('');
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">` +
      `<defs><linearGradient id="s" x1="0" y1="0" x2="0" y2="1"><stop stop-color="${sky[0]}"/>` +
      `<stop offset=".4" stop-color="${sky[1]}"/><stop offset=".72" stop-color="${sky[2]}"/></linearGradient>` +
      `<radialGradient id="g"><stop stop-color="${light.fill}" stop-opacity=".75"/>` +
      `<stop offset="1" stop-color="${light.fill}" stop-opacity="0"/></radialGradient></defs>` +
      `<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#s)"/><g fill="#fff">${stars(hour)}</g>` +
      `<circle cx="${light.x}" cy="${light.y}" r="${light.radius * 4.5}" fill="url(#g)"/>` +
      `<circle cx="${light.x}" cy="${light.y}" r="${light.radius}" fill="${light.fill}"/>` +
      `${layers}${hour.trees ? trees(hour) : ''}</svg>\n`,
  );
}
