// What is said once after something was done. The address carries a code, never the sentence: nobody can put words into
// our mouth with a link.

const plural = (n: number, what: string): string => `${n === 1 ? 'One' : n} ${what}${n === 1 ? '' : 's'}`;

const sentences: Record<string, (n: number) => string> = {
  sent: () => 'Your message has been sent.',
  partly: () => 'Your message has been sent, but not to everybody: it says below to whom not.',
  sending: () => 'Your message is on its way. Its delivery is not confirmed yet; nothing more need be done.',
  already: () => 'This message had been sent already. It was not sent again.',
  saved: () => 'Your draft has been saved.',
  discarded: () => 'The draft has been discarded.',
  deleted: n => `${plural(n, 'message')} moved to the trash.`,
  restored: n => `${plural(n, 'message')} restored.`,
  purged: n => `${plural(n, 'message')} deleted for ever.`,
  read: n => `${plural(n, 'message')} marked as read.`,
  unread: n => `${plural(n, 'message')} marked as unread.`,
  none: () => 'Nothing was selected.',
  settings: () => 'Your settings have been saved.',
  password: () => 'Your password has been changed. Your other sessions have ended.',
  goodbye: () => 'You are logged out.',
};

export interface NoticeQuery {
  readonly notice?: string;
  readonly n?: string;
}

export function noticeOf({ notice, n }: NoticeQuery): string | undefined {
  if (typeof notice !== 'string' || !Object.hasOwn(sentences, notice)) return undefined;
  return sentences[notice]!(Math.max(0, Math.trunc(Number(n)) || 0));
}

/** The address with a notice in it. */
export function withNotice(path: string, notice: string, n?: number): string {
  const mark = path.includes('?') ? '&' : '?';
  return `${path}${mark}notice=${notice}${n === undefined ? '' : `&n=${n}`}`;
}
