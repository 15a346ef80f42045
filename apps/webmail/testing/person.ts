// Somebody in front of a browser without JavaScript: follows links, fills in forms, keeps cookies.

import assert from 'node:assert/strict';
import { DEMO_DOMAIN, DEMO_PASSWORD } from '@resplice/mailstore';

export interface Answer {
  readonly status: number;
  /** After redirects. */
  readonly url: string;
  readonly text: string;
  readonly headers: Headers;
}

export interface Letter {
  readonly recipients?: string;
  readonly cc?: string;
  readonly bcc?: string;
  readonly subject?: string;
  readonly body?: string;
  readonly files?: readonly File[];
}

const MAX_REDIRECTS = 5;

/** The first group of a match, which must be there. */
export function find(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  assert.ok(found !== undefined, `${pattern} in:\n${text.slice(0, 3000)}`);
  return plain(found);
}

function plain(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

/** The fields of a page's form as it stands: what a browser would post. */
export function fieldsOf(page: string): Record<string, string> {
  const form = find(page, /(<form class="compose".*?<\/form>)/s);
  // Unescaped already: names and values are simple, but for what was typed.
  const fields: Record<string, string> = {};
  for (const [, name, value] of form.matchAll(/<input[^>]* name="(\w+)" value="([^"]*)"/g))
    fields[name!] = value!;
  fields.body = find(page, /<textarea id="body"[^>]*>\n(.*?)<\/textarea>/s);
  return fields;
}

export class Person {
  readonly #origin: string;
  readonly #cookies = new Map<string, string>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Somebody of the demo who has logged in. */
  static async loggedIn(origin: string, name: string): Promise<Person> {
    const person = new Person(origin);
    const { url } = await person.login(name);
    assert.match(url, /\/mail\/inbox$/);
    return person;
  }

  get cookies(): Map<string, string> {
    return this.#cookies;
  }

  async request(path: string, init: RequestInit = {}, redirects = MAX_REDIRECTS): Promise<Answer> {
    const url = new URL(path, this.#origin);
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = new Headers(init.headers);
    if (cookie !== '') headers.set('cookie', cookie);
    const response = await fetch(url, { redirect: 'manual', ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.#cookies.delete(name!);
      else this.#cookies.set(name!, value!);
    }
    const location = response.headers.get('location');
    if (location !== null && redirects > 0) {
      await response.body?.cancel();
      return await this.request(location, {}, redirects - 1);
    }
    const text = await response.text();
    return { status: response.status, url: String(url), text, headers: response.headers };
  }

  async get(path: string): Promise<Answer> {
    return await this.request(path);
  }

  async post(path: string, fields: Record<string, string> | URLSearchParams | FormData): Promise<Answer> {
    const body = fields instanceof FormData ? fields : new URLSearchParams(fields);
    return await this.request(path, { method: 'POST', body });
  }

  async login(name: string, password = DEMO_PASSWORD): Promise<Answer> {
    return await this.post('/login', { address: `${name}@${DEMO_DOMAIN}`, password, next: '' });
  }

  /** The token of this session's forms. */
  async token(): Promise<string> {
    return find((await this.get('/settings')).text, /name="csrf" value="([^"]+)"/);
  }

  /** Opens a form for writing and returns where it posts to, and its fields. */
  async open(path = '/compose'): Promise<{ action: string; fields: Record<string, string> }> {
    const { text, status } = await this.get(path);
    assert.equal(status, 200, text);
    return { action: find(text, /action="(\/draft\/[^"]+)"/), fields: fieldsOf(text) };
  }

  /** Fills in a form that was opened, and presses a button of it. */
  async press(
    form: { action: string; fields: Record<string, string> },
    button: string,
    letter: Letter = {},
  ): Promise<Answer> {
    const { files = [], ...typed } = letter;
    const data = new FormData();
    for (const [name, value] of Object.entries({ ...form.fields, ...typed, action: button }))
      data.set(name, value);
    for (const file of files) data.append('file', file);
    return await this.post(form.action, data);
  }

  async send(letter: Letter): Promise<Answer> {
    return await this.press(await this.open(), 'send', letter);
  }

  /** Ids of a folder's messages on its first page, newest first. */
  async list(folder: string, query = ''): Promise<string[]> {
    const { text } = await this.get(`/mail/${folder}${query}`);
    return [...text.matchAll(/<a href="\/message\/(\d+)">/g)].map(([, id]) => id!);
  }
}
