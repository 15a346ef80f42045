/** Everything that the page consists of; also what an unmodified web server gets to serve in its place. */
import { readFileSync } from 'node:fs';
import { pictures } from './pictures/gallery.ts';

export interface SiteFile {
  /** Its path on the site, `/` for the page. */
  readonly path: string;
  readonly type: string;
  readonly cacheControl: string;
  /** Made at the first call, then kept. */
  readonly content: () => Buffer;
}

const REVALIDATE = 'no-cache';
const AN_HOUR = 'public, max-age=3600';

function once(make: () => Buffer): () => Buffer {
  let made: Buffer | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function asset(path: string, name: string, type: string): SiteFile {
  const content = once(() => readFileSync(new URL(`../public/${name}`, import.meta.url)));
  return { path, type, cacheControl: REVALIDATE, content };
}

/** All files of the site except the generated downloads. */
export function siteFiles(): readonly SiteFile[] {
  return [
    asset('/', 'index.html', 'text/html; charset=utf-8'),
    asset('/style.css', 'style.css', 'text/css; charset=utf-8'),
    asset('/script.js', 'script.js', 'text/javascript; charset=utf-8'),
    asset('/sha256.js', 'sha256.js', 'text/javascript; charset=utf-8'),
    asset('/favicon.svg', 'favicon.svg', 'image/svg+xml'),
    ...pictures.map(({ name, type, draw }) => ({
      path: `/pictures/${name}`,
      type,
      cacheControl: AN_HOUR,
      content: once(draw),
    })),
  ];
}
