// YAML text → plain values, with the place of each of them in the text.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
} from 'yaml';
import type { Finding, Path } from './problem.ts';

/** Longest text that is read, UTF-16 units. */
export const MAX_TEXT = 1_048_576;
/** A document that unfolds to more values than this, by aliases, is refused. */
const MAX_NODES = 250_000;
const MAX_DEPTH = 32;
/** Lines with broken syntax that are listed. */
const MAX_FLAWS = 20;

export interface Position {
  line: number;
  column: number;
}

/** A value's place: offsets into the text. */
interface Place {
  key: number;
  value: number;
  children?: Map<PropertyKey, Place>;
}

/** Found while reading: unlike other findings these know their place already. */
export interface Flaw extends Finding {
  position: Position;
}

export interface ReadDocument {
  /** `undefined` if the text is not YAML at all. */
  value: unknown;
  flaws: Flaw[];
  /** The text is not YAML, or none that is read here: what its fields might be is guesswork. */
  broken: boolean;
  /** Where a field stands; for one that is missing, the nearest that holds it. */
  locate(path: Path, atKey?: boolean): Position;
}

/** Never throws, whatever the text. */
export function readDocument(text: string): ReadDocument {
  const lines = new LineCounter();
  if (text.length > MAX_TEXT) return unreadable(`is longer than ${MAX_TEXT} characters`);
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  } catch {
    return unreadable('is nested too deeply');
  }
  // The parser recurses: thousands of brackets end its stack, which it throws or reports, wherever that happened.
  if (document.errors.some(error => /stack/i.test(error.message))) return unreadable('is nested too deeply');
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const wrong = syntaxFlaws(document, position);
  if (wrong.length > 0)
    return { value: undefined, flaws: wrong, broken: true, locate: position.bind(null, 0) };
  const flaws: Flaw[] = [];
  const report: Report = (path, sentence, offset) =>
    flaws.push({ path, sentence, position: position(offset) });
  const walk = new Walk(report, offset => position(offset).line);
  const root: Place = { key: 0, value: document.contents?.range[0] ?? 0 };
  const value = walk.node(document.contents, root, []);
  return {
    value,
    flaws,
    broken: false,
    locate(path, atKey = false) {
      let place = root;
      for (const [index, part] of path.entries()) {
        const child = place.children?.get(part);
        if (!child) return position(place.value);
        if (atKey && index === path.length - 1) return position(child.key);
        place = child;
      }
      return position(place.value);
    },
  };
}

function unreadable(sentence: string): ReadDocument {
  const position = { line: 1, column: 1 };
  return {
    value: undefined,
    flaws: [{ path: [], sentence, position }],
    broken: true,
    locate: () => position,
  };
}

/** What the parser says: the first complaint about a line, the others follow from it. */
function syntaxFlaws(document: Document.Parsed, position: (offset: number) => Position): Flaw[] {
  const byLine = new Map<number, Flaw>();
  for (const error of [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    const at = position(error.pos[0]);
    if (!byLine.has(at.line)) byLine.set(at.line, { path: [], sentence: sentenceOf(error), position: at });
  }
  const flaws = [...byLine.values()].slice(0, MAX_FLAWS);
  const { explicit, version } = document.directives.yaml;
  if (explicit && version !== '1.2') {
    const sentence = `%YAML ${version} reads yes, no and 010 differently: only 1.2 is accepted`;
    flaws.unshift({ path: [], sentence, position: position(0) });
  }
  return flaws;
}

type Report = (path: Path, sentence: string, offset: number) => unknown;

/** Unfolds nodes into values; the library's own `toJS` throws on some documents and knows no places. */
class Walk {
  readonly #report: Report;
  readonly #lineOf: (offset: number) => number;
  readonly #anchors = new Map<string, Node>();
  /** Nodes being unfolded, so that an alias inside its own anchor is seen. */
  readonly #open = new Set<Node>();
  #count = 0;

  constructor(report: Report, lineOf: (offset: number) => number) {
    this.#report = report;
    this.#lineOf = lineOf;
  }

  node(node: unknown, place: Place, path: Path): unknown {
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (!target) {
        this.#report(path, `*${node.source} has no anchor &${node.source} before it`, place.value);
        return undefined;
      }
      if (this.#open.has(target)) {
        this.#report(path, `*${node.source} stands for something that holds it`, place.value);
        return undefined;
      }
      return this.node(target, place, path);
    }
    if (++this.#count > MAX_NODES || path.length > MAX_DEPTH) {
      if (this.#count <= MAX_NODES) this.#report(path, 'is nested too deeply', place.value);
      else if (this.#count === MAX_NODES + 1)
        this.#report(path, `has more than ${MAX_NODES} values`, place.value);
      return undefined;
    }
    if (isScalar(node)) {
      this.#anchor(node);
      return node.value;
    }
    if (!isMap(node) && !isSeq(node)) return null;
    this.#anchor(node);
    this.#open.add(node);
    place.children = new Map();
    const value = isMap(node)
      ? this.#map(node.items, place, path)
      : node.items.map((item, index) => this.#child(item, place, path, index));
    this.#open.delete(node);
    return value;
  }

  #anchor(node: Node & { anchor?: string }): void {
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
  }

  #map(items: readonly { key: unknown; value: unknown }[], parent: Place, path: Path): object {
    const value: Record<string, unknown> = {};
    for (const { key, value: item } of items) {
      const offset = offsetOf(key, parent.value);
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== 'string' && typeof name !== 'number') {
        this.#report(path, 'has a field whose name is not plain text', offset);
        continue;
      }
      const field = String(name);
      if (isScalar(key)) this.#anchor(key);
      // A schema cannot see this one: objects treat it apart.
      if (field === '__proto__') {
        this.#report([...path, field], 'unknown field', offset);
        continue;
      }
      const before = parent.children!.get(field);
      if (before !== undefined) {
        const sentence = `is given twice; the first is on line ${this.#lineOf(before.key)}`;
        this.#report([...path, field], sentence, offset);
        continue;
      }
      const child = this.#child(item, parent, path, field, offset);
      value[field] = child;
    }
    return value;
  }

  #child(node: unknown, parent: Place, path: Path, part: PropertyKey, key?: number): unknown {
    const value = offsetOf(node, key ?? parent.value);
    const place: Place = { key: key ?? value, value };
    parent.children!.set(part, place);
    return this.node(node, place, [...path, part]);
  }
}

function offsetOf(node: unknown, fallback: number): number {
  if (typeof node !== 'object' || node === null || !('range' in node)) return fallback;
  return Array.isArray(node.range) ? Number(node.range[0]) : fallback;
}

/** The library's sentences, put into ours where we know better. */
function sentenceOf({ code, message }: YAMLError): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'tabs cannot indent YAML: use spaces';
    case 'MULTIPLE_DOCS':
      return 'holds a second document (---); one file is one site';
    case 'TAG_RESOLVE_FAILED':
      return `${message}: tags are not used here`;
    default:
      return `is not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
  }
}
