/** Somebody in front of a browser without JavaScript: one kept-alive connection, cookies, forms with their tokens. */
import { Agent, type IncomingMessage, request } from 'node:http';

/** What the client notices of a failure: its page did not come, not whole, or was an error. */
export class Broken extends Error {}

/** The tier's promise is not broken, but nobody is logged in any more. */
export class LoggedOut extends Error {}

export interface Account {
  readonly address: string;
  readonly password: string;
}

/** What is typed into the form. */
export interface Typed {
  /** Addresses. */
  readonly to: readonly string[];
  readonly cc?: readonly string[];
  readonly subject: string;
  readonly body: string;
  readonly files?: readonly { readonly name: string; readonly bytes: Buffer }[];
}

/** A request's body. */
interface Posted {
  readonly type: string;
  readonly bytes: Buffer;
}

interface Page {
  readonly status: number;
  readonly location: string | undefined;
  readonly text: string;
}

/** Longer than any move of a connection; after that a person gives up, ms. */
const DEADLINE_MS = 60_000;

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

/** A form's hidden fields and where it posts to, as a browser would take them from the page. */
export function composeFormOf(page: string): { action: string; fields: Record<string, string> } {
  const form = /<form class="compose"[^>]* action="([^"]+)".*?<\/form>/s.exec(page);
  if (!form) throw new Broken('the page has no form to write in');
  const inputs = form[0].matchAll(/<input[^>]* name="(\w+)" value="([^"]*)"/g);
  const fields = Object.fromEntries([...inputs].map(([, name, value]) => [name!, unescaped(value!)]));
  return { action: form[1]!, fields };
}

function plainForm(fields: Record<string, string>): Posted {
  const text = new URLSearchParams(fields).toString();
  return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(text) };
}

/** As a browser posts a form that has room for files. */
async function withFiles(
  fields: Record<string, string>,
  files: NonNullable<Typed['files']>,
): Promise<Posted> {
  if (files.length === 0) return plainForm(fields);
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const { name, bytes } of files) form.append('file', new Blob([new Uint8Array(bytes)]), name);
  const coded = new Response(form);
  return { type: coded.headers.get('content-type')!, bytes: Buffer.from(await coded.arrayBuffer()) };
}

/** Told when an answer has come whole, with how long it took from the request on. */
export type Answered = (method: string, path: string, ms: number) => void;

export class Person {
  readonly #origin: URL;
  readonly #answered: Answered;
  readonly #account: Account;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #cookies = new Map<string, string>();
  /** Pages that came whole. */
  pages = 0;

  constructor(origin: string, account: Account, answered: Answered = () => {}) {
    this.#answered = answered;
    this.#origin = new URL(origin);
    this.#account = account;
  }

  get address(): string {
    return this.#account.address;
  }

  /** @throws Broken unless the inbox comes */
  async logIn(): Promise<void> {
    const { address, password } = this.#account;
    const { status, location } = await this.#post('/login', { address, password, next: '' });
    if (status !== 303 || location !== '/mail/inbox') throw new Broken(`the login was answered ${status}`);
    await this.#page('/mail/inbox');
  }

  /** @throws Broken, LoggedOut */
  async read(path: string): Promise<void> {
    await this.#page(path);
  }

  /** Whether somebody is logged in. @throws Broken */
  async isLoggedIn(): Promise<boolean> {
    try {
      await this.#page('/mail/inbox');
      return true;
    } catch (error) {
      if (error instanceof LoggedOut) return false;
      throw error;
    }
  }

  /**
   * Writes and sends; reads the page that says what became of it.
   * @param begun called before the form is posted
   * @returns what that page says: sent, or on its way
   * @throws Broken, LoggedOut
   */
  async send(
    { to, cc = [], subject, body, files = [] }: Typed,
    begun: () => void,
  ): Promise<'sent' | 'sending'> {
    const { action, fields } = composeFormOf(await this.#page('/compose'));
    const typed = { ...fields, recipients: to.join(', '), cc: cc.join(', '), subject, body, action: 'send' };
    const form = await withFiles(typed, files);
    begun();
    const { status, location = '', text } = await this.#exchange('POST', action, form);
    if (status !== 303) {
      const said = /role="alert">.*?<span>(.*?)<\/span>/s.exec(text)?.[1] ?? text.slice(0, 80);
      throw new Broken(`the letter was answered ${status}: ${unescaped(said).trim()}`);
    }
    if (location.startsWith('/login')) throw new LoggedOut('logged out while sending');
    const notice = /[?&]notice=(sent|sending)\b/.exec(location)?.[1];
    if (notice === undefined) throw new Broken(`the letter led to ${location}`);
    await this.#page(location);
    return notice as 'sent' | 'sending';
  }

  leave(): void {
    this.#agent.destroy();
  }

  /** A page of the mailbox, whole. */
  async #page(path: string): Promise<string> {
    const { status, location, text } = await this.#exchange('GET', path);
    if (status === 303 && location?.startsWith('/login')) throw new LoggedOut(`logged out at ${path}`);
    if (status !== 200) throw new Broken(`${path} was answered ${status}`);
    if (!/<\/html>\s*$/.test(text)) throw new Broken(`${path} came without its end`);
    this.pages++;
    return text;
  }

  #post(path: string, fields: Record<string, string>): Promise<Page> {
    return this.#exchange('POST', path, plainForm(fields));
  }

  #exchange(method: string, path: string, body?: Posted): Promise<Page> {
    const { hostname, port, host } = this.#origin;
    const { promise, resolve, reject } = Promise.withResolvers<Page>();
    const fail = (error: Error): void => {
      const code = (error as NodeJS.ErrnoException).code ?? error.message;
      reject(new Broken(`${method} ${path.replace(/[0-9a-f-]{36}/, '…')}: ${code}`));
    };
    const from = performance.now();
    const took = (page: Page): void => {
      this.#answered(method, path, performance.now() - from);
      resolve(page);
    };
    const asked = request(
      {
        hostname,
        port: port || 80,
        method,
        path,
        agent: this.#agent,
        signal: AbortSignal.timeout(DEADLINE_MS),
        headers: {
          host,
          ...(this.#cookies.size > 0 ? { cookie: this.#cookie() } : {}),
          ...(body === undefined ? {} : { 'content-type': body.type, 'content-length': body.bytes.length }),
        },
      },
      response => this.#take(response, took, fail),
    );
    asked.on('error', fail);
    asked.end(body?.bytes);
    return promise;
  }

  #take(response: IncomingMessage, resolve: (page: Page) => void, fail: (error: Error) => void): void {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('error', fail);
    response.on('end', () => {
      for (const line of response.headers['set-cookie'] ?? []) this.#remember(line);
      resolve({ status: response.statusCode ?? 0, location: response.headers.location, text });
    });
  }

  #cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #remember(line: string): void {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (name === undefined) return;
    if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name);
    else this.#cookies.set(name, value!);
  }
}
