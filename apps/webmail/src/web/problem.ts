/** Something that the person in front of the browser is told on a page of its own. */
export class Problem extends Error {
  /** HTTP status. */
  readonly status: number;
  readonly title: string;
  /** Seconds until trying again makes sense. */
  readonly retryAfter: number | undefined;

  /** @param text what happened, and what to do */
  constructor(status: number, title: string, text: string, retryAfter?: number) {
    super(text);
    this.name = 'Problem';
    this.status = status;
    this.title = title;
    this.retryAfter = retryAfter;
  }
}

export const notFound = (): Problem =>
  new Problem(
    404,
    'Not found',
    'There is nothing here: the message may have been deleted, or the address is wrong.',
  );

export const staleForm = (): Problem =>
  new Problem(
    403,
    'Please try again',
    'This form is from another session. Nothing was changed: go back, reload the page, and try again.',
  );

export const foreignForm = (): Problem =>
  new Problem(403, 'Refused', 'This request came from another site. Nothing was changed.');
