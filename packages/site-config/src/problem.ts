// What a check finds, and how it is written down.

/** `['listeners', 1, 'port']`. */
export type Path = readonly PropertyKey[];

export type Severity = 'error' | 'warning';

/** A problem before its place in the file is known. */
export interface Finding {
  path: Path;
  sentence: string;
  severity?: Severity;
  /** Point at the field's name rather than at its value. */
  atKey?: boolean;
}

/** A problem and its place. Lines and columns count from 1; columns are UTF-16 units. */
export interface Problem {
  severity: Severity;
  file: string;
  line: number;
  column: number;
  /** `listeners[1].port`, or empty if the whole file is meant. */
  path: string;
  sentence: string;
}

/** `FILE:LINE:COLUMN: path: sentence`, which editors and compilers' users know. */
export function formatProblem({ severity, file, line, column, path, sentence }: Problem): string {
  const kind = severity === 'warning' ? 'warning: ' : '';
  return printable(`${file}:${line}:${column}: ${kind}${path === '' ? '' : `${path}: `}${sentence}`);
}

/** `['listeners', 1, 'port']` → `listeners[1].port`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** One line, and nothing that moves a terminal's cursor: the text quotes what somebody wrote. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, character => {
    return `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`;
  });
}
