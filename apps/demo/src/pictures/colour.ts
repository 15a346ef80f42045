/** Colours as [red, green, blue], 0..255 each. */

export type Colour = readonly [number, number, number];

export function colour(hex: string): Colour {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

export function blend(from: Colour, to: Colour, t: number): Colour {
  const at = (i: 0 | 1 | 2): number => Math.round(from[i] + (to[i] - from[i]) * t);
  return [at(0), at(1), at(2)];
}

export function hex(c: Colour): string {
  return `#${c.map(part => part.toString(16).padStart(2, '0')).join('')}`;
}

/** 256 colours that run evenly through the given stops. */
export function gradient(stops: readonly string[]): readonly Colour[] {
  const colours = stops.map(colour);
  return Array.from({ length: 256 }, (_, i) => {
    const position = (i / 255) * (colours.length - 1);
    const index = Math.min(Math.floor(position), colours.length - 2);
    return blend(colours[index]!, colours[index + 1]!, position - index);
  });
}
