// Everything static: style sheet, scripts, icons, pictures, fonts. In memory, with strong validators.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import type { FastifyInstance } from 'fastify';

const PUBLIC = join(import.meta.dirname, '../../public');
const { resolve } = createRequire(import.meta.url);

/** The SIL Open Font License lets us serve them. */
const fonts: Record<string, string> = {
  'inter.woff2': resolve('@fontsource-variable/inter/files/inter-latin-wght-normal.woff2'),
  'inter-ext.woff2': resolve('@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2'),
  'fraunces.woff2': resolve('@fontsource-variable/fraunces/files/fraunces-latin-wght-normal.woff2'),
  'fraunces-ext.woff2': resolve('@fontsource-variable/fraunces/files/fraunces-latin-ext-wght-normal.woff2'),
};

const types: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

interface Asset {
  readonly type: string;
  readonly content: Buffer;
  readonly version: string;
}

function load(name: string, path: string): [string, Asset] {
  const content = readFileSync(path);
  const version = createHash('sha256').update(content).digest('base64url').slice(0, 12);
  return [name, { type: types[extname(name)]!, content, version }];
}

const assets: ReadonlyMap<string, Asset> = new Map([
  ...readdirSync(PUBLIC).map(name => load(name, join(PUBLIC, name))),
  ...Object.entries(fonts).map(([name, path]) => load(name, path)),
]);

/** Where a page finds an asset; the address changes with its content, so that it can be kept for ever. */
export function asset(name: string): string {
  const found = assets.get(name);
  if (found === undefined) throw new Error(`public/${name} does not exist`);
  return `/assets/${name}?v=${found.version}`;
}

const FOR_EVER = 'public, max-age=31536000, immutable';
const AN_HOUR = 'public, max-age=3600';

export async function serveAssets(app: FastifyInstance): Promise<void> {
  app.get<{ Params: { name: string }; Querystring: { v?: string } }>('/assets/:name', (request, reply) => {
    const found = assets.get(request.params.name);
    if (found === undefined) return reply.callNotFound();
    const etag = `"${found.version}"`;
    reply
      .header('etag', etag)
      .header('cache-control', request.query.v === found.version ? FOR_EVER : AN_HOUR);
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.type(found.type).send(found.content);
  });
  app.get('/favicon.ico', (_request, reply) => reply.redirect(asset('favicon.svg'), 301));
}
