/** The dozen pictures of the page, in its order. */
import { cells, contours, interference, julia, marble, planet } from './fields.ts';
import { type Hour, landscape } from './landscapes.ts';

export interface Picture {
  readonly name: string;
  readonly type: 'image/svg+xml' | 'image/png';
  readonly draw: () => Buffer;
}

const hours: Record<string, Hour> = {
  'first-light': {
    seed: 3,
    sky: ['#2c3e6b', '#c9788f', '#ffd9a8'],
    light: { x: 330, y: 150, radius: 22, fill: '#fff1cf' },
    ridges: ['#c98f93', '#2a2340'],
  },
  morning: {
    seed: 14,
    sky: ['#4f93c9', '#a9d3e8', '#f6ecd2'],
    light: { x: 120, y: 80, radius: 18, fill: '#fffbe6' },
    ridges: ['#a9c6cf', '#1e4a3f'],
    trees: true,
  },
  'noon-haze': {
    seed: 27,
    sky: ['#7fb2c8', '#d7e3d4', '#f7ead0'],
    light: { x: 250, y: 62, radius: 16, fill: '#ffffff' },
    ridges: ['#d8c9a5', '#7a4a2b'],
  },
  'evening-red': {
    seed: 35,
    sky: ['#3b1d4a', '#d1495b', '#ffb35c'],
    light: { x: 180, y: 168, radius: 30, fill: '#ffe9a8' },
    ridges: ['#b8475a', '#1f1029'],
    trees: true,
  },
  'blue-hour': {
    seed: 52,
    sky: ['#0b1b3a', '#2f5d8c', '#a7c4d6'],
    light: { x: 372, y: 92, radius: 13, fill: '#f4f7ff' },
    ridges: ['#6f93b0', '#0c1a2e'],
    stars: 40,
  },
  midnight: {
    seed: 61,
    sky: ['#04060f', '#101b3d', '#2b3f6b'],
    light: { x: 110, y: 76, radius: 20, fill: '#eef2ff' },
    ridges: ['#25365c', '#04070f'],
    stars: 150,
    trees: true,
  },
};

const vector = (name: string): Picture => ({
  name: `${name}.svg`,
  type: 'image/svg+xml',
  draw: () => landscape(hours[name]!),
});
const pixels = (name: string, draw: () => Buffer): Picture => ({
  name: `${name}.png`,
  type: 'image/png',
  draw,
});

export const pictures: readonly Picture[] = [
  vector('first-light'),
  pixels('interference', interference),
  vector('morning'),
  pixels('contours', contours),
  pixels('planet', planet),
  vector('noon-haze'),
  vector('evening-red'),
  pixels('julia', julia),
  pixels('cells', cells),
  vector('blue-hour'),
  vector('midnight'),
  pixels('marble', marble),
];
