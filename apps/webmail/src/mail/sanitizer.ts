// A stranger's HTML, made harmless: what remains has no script, no form, no style that reaches out of its frame, and
// fetches nothing from elsewhere unless the reader asks. The frame's own policy forbids all that once more.

import type { MailFile } from '@resplice/mailstore';
import sanitize from 'sanitize-html';

export interface SanitizeOptions {
  /** Where an embedded file is found, by its place among the message's files. */
  readonly fileHref: (index: number) => string;
  readonly files: readonly MailFile[];
  /** Whether pictures from elsewhere may stay. */
  readonly images: boolean;
}

export interface Sanitized {
  readonly html: string;
  /** Pictures from elsewhere that were left out. */
  readonly blocked: number;
  /** It was too long: its end is missing. */
  readonly isCut: boolean;
}

/** Longer HTML is shown up to there: sanitising takes time that everybody else waits for, characters. */
export const MAX_HTML = 1_000_000;

/** One dull value: nothing that loads, computes, or closes the attribute. */
const DULL = /^(?!.*(?:url|expression|image|attr|var|env)\s*\()[^;{}<>\\]{0,200}$/i;

const styles = [
  'color',
  'background',
  'background-color',
  'font',
  'font-family',
  'font-size',
  'font-style',
  'font-weight',
  'letter-spacing',
  'line-height',
  'text-align',
  'text-decoration',
  'text-transform',
  'vertical-align',
  'white-space',
  'width',
  'max-width',
  'height',
  'border-collapse',
  'border-spacing',
  'border-radius',
  ...['border', 'padding', 'margin'].flatMap(each => [
    each,
    `${each}-top`,
    `${each}-right`,
    `${each}-bottom`,
    `${each}-left`,
  ]),
];

const tableCell = ['width', 'height', 'align', 'valign', 'bgcolor', 'colspan', 'rowspan', 'nowrap'];

export function sanitizeMail(html: string, { fileHref, files, images }: SanitizeOptions): Sanitized {
  let blocked = 0;
  const source = (src: string): string | undefined => {
    const cid = /^cid:(.*)$/i.exec(src)?.[1];
    if (cid !== undefined) {
      const index = files.findIndex(file => file.cid === decode(cid));
      return index < 0 ? undefined : fileHref(index);
    }
    if (/^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=\s]*$/i.test(src)) return src;
    if (!/^(?:https?:)?\/\//i.test(src)) return undefined;
    if (images) return src;
    blocked++;
    return undefined;
  };
  const isCut = html.length > MAX_HTML;
  const clean = sanitize(isCut ? html.slice(0, MAX_HTML).toWellFormed() : html, {
    allowedTags: [
      ...sanitize.defaults.allowedTags,
      'img',
      'font',
      'center',
      'del',
      'ins',
      'details',
      'summary',
      'big',
    ],
    // Their words are no words of the message.
    nonTextTags: [
      'style',
      'script',
      'textarea',
      'option',
      'noscript',
      'title',
      'head',
      'template',
      'svg',
      'math',
    ],
    allowedAttributes: {
      '*': ['style', 'dir', 'lang', 'align', 'title'],
      a: ['href', 'target', 'rel'],
      img: ['src', 'alt', 'width', 'height', 'border'],
      table: ['width', 'height', 'border', 'cellpadding', 'cellspacing', 'bgcolor', 'role'],
      tr: ['height', 'valign', 'bgcolor'],
      td: tableCell,
      th: [...tableCell, 'scope'],
      col: ['width', 'span'],
      font: ['color', 'face', 'size'],
      ol: ['start', 'type'],
      li: ['value'],
    },
    allowedStyles: { '*': Object.fromEntries(styles.map(name => [name, [DULL]])) },
    allowedSchemes: ['http', 'https', 'mailto', 'tel'],
    // What may stand in src is decided above.
    allowedSchemesByTag: { img: ['http', 'https', 'data'] },
    allowProtocolRelative: true,
    // Hostile nesting costs the one who renders it.
    nestingLimit: 100,
    transformTags: {
      a: (tagName, attribs) => ({
        tagName,
        attribs: { ...attribs, target: '_blank', rel: 'noopener noreferrer nofollow' },
      }),
      // Without a source, the words that stand for the picture are shown.
      img: (tagName, { src, ...attribs }) => {
        const found = source(src?.trim() ?? '');
        return { tagName, attribs: found === undefined ? attribs : { ...attribs, src: found } };
      },
    },
  });
  return { html: clean, blocked, isCut };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The sanitised HTML as a document of its own, on white: its author thought of nothing else. */
export function frameDocument(clean: string): string {
  return `<!doctype html>
<html lang="">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<base target="_blank">
<style>
html { color-scheme: light; background: #fff; }
body { margin: 0; padding: 20px; overflow-wrap: anywhere; color: #1d1b16;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
a { color: #1c5f50; }
img { max-width: 100%; }
img[src] { height: auto; }
img:not([src]) { height: auto; color: #6d6757; font-style: italic; }
table { max-width: 100%; }
pre { white-space: pre-wrap; }
blockquote { margin: 0 0 0 2px; padding-left: 14px; border-left: 3px solid #d8d2c4; color: #55503f; }
</style>
</head>
<body>${clean}</body>
</html>
`;
}
