// Plain text as markup: links to follow, quotations set apart.

import { type Html, html, type Piece } from '../web/html.ts';

/** Ends before punctuation that belongs to the sentence. */
const LINK = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]}]/g;

function linked(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    pieces.push(
      text.slice(at, index),
      html`<a href="${url}" target="_blank" rel="noopener noreferrer nofollow">${url}</a>`,
    );
    at = index + url.length;
  }
  return [...pieces, text.slice(at)];
}

function depthOf(line: string): number {
  return /^(?:>\s?)*/.exec(line)![0].replace(/\s/g, '').length;
}

export function prose(text: string): Html {
  const blocks: { depth: number; lines: string[] }[] = [];
  for (const line of text.trimEnd().split(/\r?\n/)) {
    const depth = Math.min(depthOf(line), 5);
    const stripped = depth === 0 ? line : line.replace(/^(?:>\s?)+/, '');
    const last = blocks.at(-1);
    if (last?.depth === depth) last.lines.push(stripped);
    else blocks.push({ depth, lines: [stripped] });
  }
  return html`<div class="prose">${blocks.map(
    ({ depth, lines }) =>
      html`<div class="${depth === 0 ? 'said' : `quote quote-${depth}`}">${linked(lines.join('\n'))}</div>`,
  )}</div>`;
}
