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

export interface Letter {
  readonly to: string;
  readonly subject: string;
  readonly body: string;
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
  async send({ to, subject, body }: Letter, begun: () => void): Promise<'sent' | 'sending'> {
    const { action, fields } = composeFormOf(await this.#page('/compose'));
    begun();
    const typed = { ...fields, recipients: to, subject, body, action: 'send' };
    const { status, location = '', text } = await this.#post(action, typed);
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
    return this.#exchange('POST', path, new URLSearchParams(fields).toString());
  }

  #exchange(method: string, path: string, body?: string): Promise<Page> {
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
          ...(body === undefined
            ? {}
            : {
                'content-type': 'application/x-www-form-urlencoded',
                'content-length': Buffer.byteLength(body),
              }),
        },
      },
      response => this.#take(response, took, fail),
    );
    asked.on('error', fail);
    asked.end(body);
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
