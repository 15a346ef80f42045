/**
 * A client like the one that the paper's figures imply: one object after the other, a new connection for each, cookies and forms, no
 * scripts. Its pages are calibrated: to their own objects come others, until number, bytes and server time are the wanted ones.
 */
import { createHash } from 'node:crypto';
import { now } from './clock.ts';
import { type Answer, exchange } from './exchange.ts';
import { OBJECT_PATH, objectAddress, objectAt, TIME_HEADER } from './instrument.ts';
import { formOf, objectsOf, objectsOfScript, objectsOfStyle } from './page.ts';
import type { Action, Weight } from './reference.ts';
import type { Request } from './run.ts';
import { type Filling, type Progress, promisedDigest, Trouble, type Visitor } from './visitor.ts';

export interface PaperVisitorOptions {
  readonly origin: string;
  readonly action: Action;
  readonly weight: Weight;
  /** What its requests are known by: each gets a number behind it. */
  readonly token: string;
  readonly patienceMs: number;
  readonly progress: (progress: Progress) => void;
}

/** Of the objects that are added, each tenth is one that the server has to work for. */
const SLOW_EACH = 10;
/** Each added object has two halves, even where a scale leaves less than the page's own objects have. */
const LEAST_BYTES = 512;
const MAX_REDIRECTS = 5;

/** A multipart body, as a browser makes one of a form without files. */
function multipart(fields: Readonly<Record<string, string>>, boundary: string): Buffer {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  return Buffer.from(`${parts.join('')}--${boundary}--\r\n`);
}

/** An action's page, and what it still lacks of its share of the weight. */
interface Page {
  readonly step: string;
  readonly number: number;
  readonly of: number;
  objects: number;
  bytes: number;
}

export class PaperVisitor implements Visitor {
  readonly #options: PaperVisitorOptions;
  readonly #cookies = new Map<string, string>();
  /** Objects that the page or one before it has asked for already, and that may be kept. */
  readonly #kept = new Set<string>();
  readonly #requests: Request[] = [];
  #page: Page | undefined;
  #shown = { path: '/', html: '' };
  #sent = 0;
  #completed = 0;
  #wrong = 0;

  constructor(options: PaperVisitorOptions) {
    this.#options = options;
  }

  /** Fetches a page with its own objects, before the action begins: nothing of it is weighed or counted. */
  async prepare(path: string): Promise<void> {
    await this.#show(path);
    this.#requests.length = 0;
    this.#completed = 0;
  }

  begin(step: string, number: number, of: number): void {
    this.#page = { step, number, of, objects: 0, bytes: 0 };
  }

  async open(path: string, reload: boolean): Promise<void> {
    if (reload) this.#kept.clear();
    if (this.#page) Object.assign(this.#page, { objects: 0, bytes: 0 });
    await this.#show(path);
    await this.#topUp();
  }

  async submit({ action, fields, button }: Filling): Promise<void> {
    if (this.#page) Object.assign(this.#page, { objects: 0, bytes: 0 });
    const form = formOf(this.#shown.html, action);
    const filled = { ...form.fields, ...fields, ...(button === undefined ? {} : { action: button }) };
    const boundary = `----${createHash('sha256').update(this.#nextToken()).digest('hex').slice(0, 24)}`;
    const [type, body] = form.multipart
      ? [`multipart/form-data; boundary=${boundary}`, multipart(filled, boundary)]
      : ['application/x-www-form-urlencoded', Buffer.from(String(new URLSearchParams(filled)))];
    await this.#show(form.action, { type, body });
    await this.#topUp();
  }

  path(): string {
    return this.#shown.path;
  }

  async html(): Promise<string> {
    return this.#shown.html;
  }

  requests(): readonly Request[] {
    return this.#requests;
  }

  async wrongAnswers(): Promise<number> {
    return this.#wrong;
  }

  async close(): Promise<void> {
    // Each connection has ended with its answer.
  }

  #nextToken(): string {
    return `${this.#options.token}.${this.#sent}`;
  }

  /** The server's time for a page of the action: where it does the work, of which action 1 has none but for its objects. */
  #pageMs(): number {
    const { action, weight } = this.#options;
    if (!this.#page || action === 'action1') return 0;
    return (weight.objects * weight.serverMs) / this.#page.of;
  }

  async #ask(
    address: string,
    {
      method = 'GET',
      headers = {},
      body,
      slowMs = 0,
    }: {
      method?: 'GET' | 'POST';
      headers?: Record<string, string>;
      body?: Uint8Array;
      slowMs?: number;
    } = {},
  ): Promise<Answer> {
    const { origin, patienceMs, progress } = this.#options;
    const url = new URL(address, origin);
    const token = this.#nextToken();
    this.#sent++;
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const start = now();
    let connection: string | null = null;
    const note = (status: number | null, bytes: number): void => {
      const end = now();
      this.#requests.push({ path: url.pathname + url.search, start, end, bytes, status, connection });
    };
    try {
      const answer = await exchange(url, {
        method,
        headers: {
          ...headers,
          'x-request-token': token,
          ...(cookie === '' ? {} : { cookie }),
          ...(slowMs > 0 ? { [TIME_HEADER]: slowMs.toFixed(1) } : {}),
        },
        ...(body ? { body } : {}),
        patienceMs: patienceMs + slowMs,
        connected: local => {
          connection = local;
          progress({
            token,
            local,
            completed: this.#completed,
            step: this.#page?.step ?? '',
            slow: slowMs > 0,
          });
        },
      });
      note(answer.status, answer.body.length);
      this.#completed++;
      if (this.#page) {
        this.#page.objects++;
        this.#page.bytes += answer.body.length;
      }
      this.#keepCookies(answer);
      return answer;
    } catch (error) {
      note(null, 0);
      throw error;
    }
  }

  #keepCookies({ headers }: Answer): void {
    for (const line of headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
  }

  async #show(path: string, form?: { type: string; body: Buffer }): Promise<void> {
    const { origin } = this.#options;
    const slowMs = this.#pageMs();
    let answer = form
      ? await this.#ask(path, {
          method: 'POST',
          headers: { 'content-type': form.type, origin },
          body: form.body,
          slowMs,
        })
      : await this.#ask(path, { slowMs });
    let at = new URL(path, origin);
    for (let redirects = 0; answer.status === 303 || answer.status === 302; redirects++) {
      if (redirects === MAX_REDIRECTS) throw new Trouble('error', `${path}: sent on too often`);
      at = new URL(String(answer.headers.location), at);
      answer = await this.#ask(at.pathname + at.search);
    }
    if (answer.status >= 400) throw new Trouble('error', `${at.pathname}: ${answer.status}`);
    const html = answer.body.toString();
    if (!html.trimEnd().endsWith('</html>')) this.#wrong++;
    this.#shown = { path: at.pathname, html };
    for (const address of objectsOf(html)) await this.#object(address);
  }

  async #object(address: string, slowMs = 0): Promise<void> {
    if (this.#kept.has(address)) return;
    const { status, headers, body } = await this.#ask(address, { slowMs });
    if (status >= 400) throw new Trouble('error', `${address}: ${status}`);
    if (!this.#isRight(address, body)) this.#wrong++;
    if (!/no-store/.test(String(headers['cache-control']))) this.#kept.add(address);
    const type = String(headers['content-type']);
    const inner = type.includes('css')
      ? objectsOfStyle
      : type.includes('javascript')
        ? objectsOfScript
        : null;
    const from = new URL(address, this.#options.origin);
    for (const each of inner?.(body.toString()) ?? []) {
      const { pathname, search } = new URL(each, from);
      await this.#object(pathname + search);
    }
  }

  #isRight(address: string, body: Buffer): boolean {
    if (address.startsWith(OBJECT_PATH)) return objectAt(address)!.equals(body);
    const digest = promisedDigest(address);
    return (
      digest === undefined ||
      createHash('sha256').update(body).digest('base64url').slice(0, digest.length) === digest
    );
  }

  /** What the page lacks of its share of the weight, as objects of their own. */
  async #topUp(): Promise<void> {
    const page = this.#page;
    if (!page) return;
    const { weight, action } = this.#options;
    // Shares of pages add up to the whole, whatever they are rounded to.
    const upTo = (number: number): number => Math.round((weight.objects * number) / page.of);
    const count = Math.max(0, upTo(page.number) - upTo(page.number - 1) - page.objects);
    const lacking = (weight.objects * weight.bytes) / page.of - page.bytes;
    const bytes = Math.max(count * LEAST_BYTES, lacking);
    const isSlow = (index: number): boolean => action === 'action1' && index % SLOW_EACH === 0;
    const slow = Array.from({ length: count }, (_, index) => index).filter(isSlow).length;
    for (let index = 0; index < count; index++) {
      const size = Math.round((bytes * (index + 1)) / count) - Math.round((bytes * index) / count);
      const slowMs = isSlow(index) ? (weight.objects * weight.serverMs) / slow : 0;
      await this.#object(objectAddress(`${page.step}-${index}`, size), slowMs);
    }
  }
}
