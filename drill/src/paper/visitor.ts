/** Somebody's program for looking at pages, whichever it is: what the script of an action needs of it. */
import type { Request } from './run.ts';

/** What a person sees go wrong. `error`: a page or an object of it was refused or broken. `silence`: nothing moved for too long. */
export class Trouble extends Error {
  readonly what: 'error' | 'silence';

  constructor(what: Trouble['what'], message: string) {
    super(message);
    this.what = what;
  }
}

export interface Filling {
  /** How the form's action begins. */
  readonly action: string;
  readonly fields: Readonly<Record<string, string>>;
  /** Value of the button `action` that is pressed; undefined: the form's only one. */
  readonly button?: string;
}

/** What goes on, as it happens: faults are placed by it. */
export interface Progress {
  /** A request was sent; the token is in its `X-Request-Token`. */
  readonly token: string;
  /** `address:port` of the client's end of its connection; null: the client cannot tell. */
  readonly local: string | null;
  /** Requests of the action that are complete. */
  readonly completed: number;
  /** Of the action's step. */
  readonly step: string;
  /** Whether the server takes its time for this one, so that a fault can meet it. */
  readonly slow: boolean;
}

export interface Visitor {
  /** Shows a page before the action begins: nothing of it is counted or weighed. @throws Trouble */
  prepare(path: string): Promise<void>;
  /** From here on requests belong to this step of the action: its name, and the page's number of how many. */
  begin(step: string, page: number, pages: number): void;
  /** Opens an address as if typed in; the page is there with all its objects. @param reload nothing kept of it is good enough @throws Trouble */
  open(path: string, reload: boolean): Promise<void>;
  /** Fills in a form of the page that is shown, and presses its button; the page that follows is there. @throws Trouble */
  submit(filling: Filling): Promise<void>;
  /** Path of the page that is shown, without query. */
  path(): string;
  /** Of the page that is shown. */
  html(): Promise<string>;
  /** Since the preparation, if there was one. Times are the drill's clock's. */
  requests(): readonly Request[];
  /** Answers whose bytes were not what their name or length promised. */
  wrongAnswers(): Promise<number>;
  close(): Promise<void>;
}

/** What a page's address promises of its bytes: the beginning of their SHA-256, in base64url; undefined: nothing. */
export function promisedDigest(address: string): string | undefined {
  return /^\/assets\/[^?]*\?v=([\w-]{12})$/.exec(address)?.[1];
}
