/** What the sequential client needs to know of a page: the objects that belong to it, and its forms. */

/** What a form holds as it stands, to be filled in. */
export interface Form {
  readonly action: string;
  readonly multipart: boolean;
  readonly fields: Readonly<Record<string, string>>;
}

function plain(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

function attribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return found === undefined ? undefined : plain(found);
}

function all(html: string, pattern: RegExp, name: string): string[] {
  return [...html.matchAll(pattern)].flatMap(([tag]) => attribute(tag, name) ?? []);
}

const fetchedLinks = /^(stylesheet|icon|preload)$/;

/** Addresses as they stand there, each once, in the page's order: without what only scripts would ask for. */
export function objectsOf(html: string): string[] {
  const links = [...html.matchAll(/<link\b[^>]*>/g)].flatMap(([tag]) =>
    fetchedLinks.test(attribute(tag, 'rel') ?? '') ? (attribute(tag, 'href') ?? []) : [],
  );
  const found = [
    ...links,
    ...all(html, /<script\b[^>]*>/g, 'src'),
    ...all(html, /<img\b[^>]*>/g, 'src'),
    // Which part of the file is shown makes no other request.
    ...all(html, /<use\b[^>]*>/g, 'href').map(href => href.replace(/#.*/, '')),
  ];
  return [...new Set(found.filter(address => address !== '' && !address.startsWith('data:')))];
}

/** Whether a font face holds the letters of an English page. */
function isNeeded(face: string): boolean {
  const range = /unicode-range:\s*U\+([0-9A-F]+)/i.exec(face)?.[1];
  return range === undefined || Number.parseInt(range, 16) <= 0x41;
}

/** What a style sheet asks for. */
export function objectsOfStyle(css: string): string[] {
  const faces = css.match(/@font-face\s*\{[^}]*\}/g) ?? [];
  const text = faces.reduce((rest, face) => (isNeeded(face) ? rest : rest.replace(face, '')), css);
  const found = [...text.matchAll(/url\(\s*["']?([^"')]+)["']?\s*\)/g)].map(([, address]) => address!);
  return [...new Set(found.filter(address => !address.startsWith('data:')))];
}

/** What a module imports by a static import of a path. */
export function objectsOfScript(script: string): string[] {
  const found = [...script.matchAll(/^import\s+(?:[^'"]*from\s+)?['"](\.{0,2}\/[^'"]+)['"]/gm)];
  return [...new Set(found.map(([, address]) => address!))];
}

/** @param action how the form's action begins @throws RangeError when the page has no such form */
export function formOf(html: string, action: string): Form {
  for (const [whole] of html.matchAll(/<form\b[^>]*>.*?<\/form>/gs)) {
    const opening = /^<form\b[^>]*>/.exec(whole)![0];
    const to = attribute(opening, 'action') ?? '';
    if (!to.startsWith(action)) continue;
    const inputs = [...whole.matchAll(/<input\b[^>]*>/g)].flatMap(([tag]) => {
      const name = attribute(tag, 'name');
      const type = attribute(tag, 'type') ?? 'text';
      return name === undefined || /^(file|checkbox|submit)$/.test(type)
        ? []
        : [[name, attribute(tag, 'value') ?? ''] as const];
    });
    // The line break after the tag is not part of the text.
    const texts = [...whole.matchAll(/<textarea\b([^>]*)>\n?(.*?)<\/textarea>/gs)].map(
      ([, tag, text]) => [attribute(tag!, 'name') ?? '', plain(text!)] as const,
    );
    return {
      action: to,
      multipart: attribute(opening, 'enctype') === 'multipart/form-data',
      fields: Object.fromEntries([...inputs, ...texts]),
    };
  }
  throw new RangeError(`the page has no form whose action begins with ${action}`);
}
