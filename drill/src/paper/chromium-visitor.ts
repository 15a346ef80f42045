/** Chromium, driven as a person would: its own connections, cache and order. What goes over the wire is seen through CDP. */
import { createHash } from 'node:crypto';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright';
import { now } from './clock.ts';
import { PAGE_TIME_HEADER } from './instrument.ts';
import type { Request } from './run.ts';
import { type Filling, type Progress, promisedDigest, Trouble, type Visitor } from './visitor.ts';

/** Its events come that late at most, ms. */
const CLOCK_SLACK_MS = 60_000;

export interface ChromiumVisitorOptions {
  readonly origin: string;
  /** What its requests are known by: each step has a token of its own. */
  readonly token: string;
  readonly patienceMs: number;
  /** What the server takes for each page, ms. */
  readonly pageMs: number;
  readonly progress: (progress: Progress) => void;
}

interface Open {
  readonly path: string;
  readonly start: number;
  readonly isPage: boolean;
  status: number | null;
  bytes: number;
  connection: string | null;
}

/** Events of Chrome's DevTools protocol, as far as they are used. */
interface WillBeSent {
  readonly requestId: string;
  readonly request: { readonly url: string };
  /** CLOCK_MONOTONIC, s. */
  readonly timestamp: number;
  readonly type?: string;
  readonly redirectResponse?: Response;
}
interface Response {
  readonly status: number;
  /** 0: none, it came out of a cache. */
  readonly connectionId: number;
  readonly fromDiskCache?: boolean;
}
interface Received {
  readonly requestId: string;
  readonly response: Response;
}
interface Ended {
  readonly requestId: string;
  readonly timestamp: number;
}
interface Failed extends Ended {
  readonly errorText: string;
  readonly canceled?: boolean;
}

interface FrameNavigated {
  /** Without a parent it is the page itself. */
  readonly frame: { readonly parentId?: string };
}

function connectionOf({ connectionId }: Response): string | null {
  return connectionId > 0 ? String(connectionId) : null;
}

export class ChromiumVisitor implements Visitor {
  readonly #options: ChromiumVisitorOptions;
  readonly #context: BrowserContext;
  readonly #page: Page;
  readonly #session: CDPSession;
  readonly #open = new Map<string, Open>();
  readonly #requests: Request[] = [];
  /** Of the page that is being loaded. */
  #troubles: string[] = [];
  #step = '';
  #completed = 0;
  #fromCache = 0;
  /** What is asked for again by {@link wrongAnswers} is nobody's any more. */
  #isOver = false;
  /** Epoch seconds less Chromium's clock. */
  #hasClock = true;
  #moved: () => void = () => {};
  #pageFailed: (what: string) => void = () => {};

  /** A context of its own: no cookie, no cached object, no open connection is left from any other. */
  static async start(browser: Browser, options: ChromiumVisitorOptions): Promise<ChromiumVisitor> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-GB' });
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    const visitor = new ChromiumVisitor(context, page, session, options);
    visitor.#listen();
    await session.send('Network.enable');
    await session.send('Page.enable');
    return visitor;
  }

  private constructor(
    context: BrowserContext,
    page: Page,
    session: CDPSession,
    options: ChromiumVisitorOptions,
  ) {
    this.#context = context;
    this.#page = page;
    this.#session = session;
    this.#options = options;
  }

  /** Shows a page before the action begins: nothing of it is counted. */
  async prepare(path: string): Promise<void> {
    await this.open(path, false);
    this.#requests.length = 0;
    this.#completed = 0;
    this.#fromCache = 0;
  }

  begin(step: string): void {
    this.#step = step;
  }

  async open(path: string, _reload: boolean): Promise<void> {
    await this.#load(async () => {
      await this.#page.goto(this.#options.origin + path, { waitUntil: 'commit', timeout: 0 });
      await this.#page.waitForLoadState('load', { timeout: 0 });
    });
  }

  async submit({ action, fields, button }: Filling): Promise<void> {
    const form = this.#page.locator(`form[action^="${action}"]`).first();
    for (const [name, value] of Object.entries(fields)) await form.locator(`[name="${name}"]`).fill(value);
    const press = button === undefined ? 'button' : `button[value="${button}"]`;
    await this.#load(async () => {
      const loaded = this.#nextDocument();
      await form.locator(press).first().click({ noWaitAfter: true });
      await loaded;
    });
  }

  /** Until another document than this one is there. Playwright's navigations are also those within a document: a draft that is saved has another address. */
  #nextDocument(): Promise<void> {
    return new Promise(resolve => {
      const committed = ({ frame }: FrameNavigated): void => {
        if (frame.parentId !== undefined) return;
        this.#session.off('Page.frameNavigated', committed);
        this.#session.once('Page.loadEventFired', () => resolve());
      };
      this.#session.on('Page.frameNavigated', committed);
    });
  }

  path(): string {
    return new URL(this.#page.url()).pathname;
  }

  html(): Promise<string> {
    return this.#page.content();
  }

  /** @throws Error if their times are of another clock than the drill's */
  requests(): readonly Request[] {
    if (!this.#hasClock) throw new Error('Chromium does not count by CLOCK_MONOTONIC: its times say nothing');
    return this.#requests;
  }

  /** Answers that came out of a cache since the preparation. */
  get fromCache(): number {
    return this.#fromCache;
  }

  /** Asks the page for its own objects' bytes again, out of its cache: only of the page that is shown. */
  async wrongAnswers(): Promise<number> {
    const addresses = [...new Set(this.#requests.map(({ path }) => path))];
    const known = addresses.flatMap(address => {
      const digest = promisedDigest(address);
      return digest === undefined ? [] : [{ address, digest }];
    });
    let wrong = 0;
    this.#isOver = true;
    for (const { address, digest } of known) {
      const body = await this.#page.evaluate(async wanted => {
        const answer = await fetch(wanted, { cache: 'force-cache' });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
      }, address);
      const found = createHash('sha256').update(Buffer.from(body, 'base64')).digest('base64url');
      if (found.slice(0, digest.length) !== digest) wrong++;
    }
    return wrong;
  }

  async close(): Promise<void> {
    await this.#context.close();
  }

  #listen(): void {
    const on = <T>(name: string, listener: (event: T) => void): void => {
      this.#session.on(name as never, listener as never);
    };
    on<WillBeSent>('Network.requestWillBeSent', event => this.#sent(event));
    on<Received>('Network.responseReceived', ({ requestId, response }) => {
      const open = this.#open.get(requestId);
      if (!open) return;
      open.status = response.status;
      open.connection = connectionOf(response);
      if (response.fromDiskCache && !this.#isOver) this.#fromCache++;
      if (response.status >= 400) this.#troubles.push(`${open.path}: ${response.status}`);
      this.#moved();
    });
    on<{ requestId: string; dataLength: number }>('Network.dataReceived', ({ requestId, dataLength }) => {
      const open = this.#open.get(requestId);
      if (open) open.bytes += dataLength;
      this.#moved();
    });
    on<{ requestId: string }>('Network.requestServedFromCache', () => {
      if (!this.#isOver) this.#fromCache++;
    });
    on<Ended>('Network.loadingFinished', ({ requestId, timestamp }) => this.#end(requestId, timestamp));
    on<Failed>('Network.loadingFailed', ({ requestId, timestamp, errorText, canceled }) => {
      const open = this.#open.get(requestId);
      if (!open) return;
      if (!canceled) this.#troubles.push(`${open.path}: ${errorText}`);
      open.status = null;
      this.#end(requestId, timestamp);
      if (open.isPage && !canceled) this.#pageFailed(`${open.path}: ${errorText}`);
    });
  }

  #sent({ requestId, request, timestamp, type, redirectResponse }: WillBeSent): void {
    if (this.#isOver || !request.url.startsWith(this.#options.origin)) return;
    this.#hasClock &&= Math.abs(timestamp * 1000 - now()) < CLOCK_SLACK_MS;
    const before = this.#open.get(requestId);
    if (before && redirectResponse) {
      before.status = redirectResponse.status;
      before.connection = connectionOf(redirectResponse);
      this.#end(requestId, timestamp);
    }
    const { pathname, search } = new URL(request.url);
    this.#open.set(requestId, {
      path: pathname + search,
      start: timestamp * 1000,
      isPage: type === 'Document',
      status: null,
      bytes: 0,
      connection: null,
    });
    this.#moved();
    this.#options.progress({
      token: this.#token(),
      local: null,
      completed: this.#completed,
      step: this.#step,
      slow: type === 'Document',
    });
  }

  #token(): string {
    return `${this.#options.token}.${this.#step.replaceAll(' ', '-')}`;
  }

  #end(requestId: string, timestamp: number): void {
    const open = this.#open.get(requestId);
    if (!open) return;
    this.#open.delete(requestId);
    const { path, start, bytes, status, connection } = open;
    this.#requests.push({ path, start, bytes, status, connection, end: timestamp * 1000 });
    if (status !== null) this.#completed++;
    this.#moved();
  }

  /** @param navigate until the page that comes is there with all that it asks for. @throws Trouble */
  async #load(navigate: () => Promise<void>): Promise<void> {
    this.#troubles = [];
    const { patienceMs, pageMs } = this.#options;
    await this.#page.setExtraHTTPHeaders({
      'x-request-token': this.#token(),
      ...(pageMs > 0 ? { [PAGE_TIME_HEADER]: pageMs.toFixed(1) } : {}),
    });
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      const restart = (): void => {
        clearTimeout(timer);
        timer = setTimeout(
          () =>
            reject(new Trouble('silence', `${this.#step}: nothing for ${(patienceMs / 1000).toFixed(1)} s`)),
          patienceMs,
        );
      };
      this.#moved = restart;
      restart();
    });
    // Its page of its own for what went wrong is no navigation that anybody could wait for.
    const failure = new Promise<never>((_, reject) => {
      this.#pageFailed = what => reject(new Trouble('error', what));
    });
    for (const each of [silence, failure]) each.catch(() => {});
    const loaded = navigate();
    // Who has lost patience looks no longer.
    loaded.catch(() => {});
    try {
      await Promise.race([loaded, silence, failure]);
    } catch (error) {
      // As the person's own reload does; Playwright would wait for the answer that does not come.
      await this.#session.send('Page.stopLoading');
      if (error instanceof Trouble) throw error;
      throw new Trouble('error', this.#troubles[0] ?? (error as Error).message.split('\n')[0]!);
    } finally {
      clearTimeout(timer);
      this.#moved = () => {};
      this.#pageFailed = () => {};
    }
    if (this.#troubles.length > 0) throw new Trouble('error', this.#troubles[0]!);
  }
}
