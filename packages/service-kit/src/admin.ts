// The admin server: health, metrics and status of one daemon over HTTP, on a Unix socket and, if asked for, TCP.

import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from './log.ts';

/** What one of a daemon's own pages answers: JSON. */
export interface Page<T extends object = object> {
  /** HTTP status. */
  code: number;
  body: T | { error: string };
}

/** A daemon's own pages by their paths, `/trace`: what `GET` answers. */
export type Pages = Readonly<Record<string, (query: URLSearchParams) => Page>>;

export interface AdminSource {
  /** true, or why not. */
  ready(): true | string;
  status(): object | Promise<object>;
  metrics(): Promise<{ contentType: string; text: string }>;
  /** Beside `/healthz`, `/metrics` and `/status`. */
  pages?(): Pages;
}

export interface AdminOptions {
  socket: string;
  /** TCP too when `port` is given; 127.0.0.1 unless `address` says otherwise. */
  address?: string | undefined;
  port?: number | undefined;
  source: AdminSource;
  log: Log;
}

export interface Admin {
  close(): Promise<void>;
}

function reply(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

function replyJson(response: ServerResponse, code: number, value: object): void {
  reply(response, code, 'application/json', `${JSON.stringify(value)}\n`);
}

async function answer(source: AdminSource, url: string, response: ServerResponse): Promise<void> {
  const [path = '/', query = ''] = url.split('?', 2);
  switch (path) {
    case '/healthz': {
      const ready = source.ready();
      if (ready === true) replyJson(response, 200, { ready: true });
      else replyJson(response, 503, { ready: false, reason: ready });
      return;
    }
    case '/metrics': {
      const { contentType, text } = await source.metrics();
      reply(response, 200, contentType, text);
      return;
    }
    case '/status':
      replyJson(response, 200, await source.status());
      return;
    default: {
      const pages = source.pages?.() ?? {};
      if (Object.hasOwn(pages, path)) {
        const { code, body } = pages[path]!(new URLSearchParams(query));
        replyJson(response, code, body);
        return;
      }
      const paths = ['/healthz', '/metrics', '/status', ...Object.keys(pages)];
      replyJson(response, 404, { error: `there are ${paths.join(', ')}` });
    }
  }
}

function handler(source: AdminSource, log: Log): RequestListener {
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      replyJson(response, 405, { error: 'only GET' });
      return;
    }
    const url = request.url ?? '/';
    // Not a reason to crash: the data path does not depend on what is shown here.
    answer(source, url, response).catch((error: unknown) => {
      log.error({ err: error, url }, 'admin request failed');
      if (!response.headersSent) replyJson(response, 500, { error: String(error) });
    });
  };
}

/** Whether somebody answers on that socket. */
async function isServed(socket: string): Promise<boolean> {
  const probe = connect(socket);
  try {
    await once(probe, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    probe.destroy();
  }
}

/** Removes what a killed predecessor left; a living one, or a file that is no socket, is an error. */
async function clearStale(path: string): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) throw new Error(`admin socket ${path} is in the way: a file that is no socket`);
  if (await isServed(path))
    throw new Error(`admin socket ${path} is in use: is this daemon running already?`);
  rmSync(path, { force: true });
}

function closed(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Resolves once the server listens. */
export async function startAdmin({ socket, address, port, source, log }: AdminOptions): Promise<Admin> {
  mkdirSync(dirname(socket), { recursive: true });
  await clearStale(socket);
  const listener = handler(source, log);
  const servers = [createServer(listener)];
  servers[0]!.listen(socket);
  if (port !== undefined) {
    const tcp = createServer(listener);
    tcp.listen(port, address ?? '127.0.0.1');
    servers.push(tcp);
  }
  await Promise.all(servers.map(server => once(server, 'listening')));
  chmodSync(socket, 0o600);
  return {
    async close() {
      await Promise.all(servers.map(closed));
    },
  };
}
