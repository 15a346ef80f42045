// `resplice.yaml`: text → a typed site, or everything that is wrong with it.

import { dirname, resolve } from 'node:path';
import { readDocument } from './document.ts';
import { type Draft, type DraftListener, draftOf } from './draft.ts';
import { checkHtpasswd, type ReadText, readRegularFile } from './htpasswd.ts';
import { type Finding, formatPath, type Problem } from './problem.ts';
import { applyRules } from './rules.ts';
import { type Site, site as siteSchema } from './schema.ts';
import { findings } from './sentence.ts';
import { refusalsOfUnprotected } from './uniform.ts';

export interface CheckContext {
  /** Names of every back end of the deployment. */
  backends: readonly string[];
  /** Reads the files that a site names; throws as `readFileSync` does. Reads the disk if absent. */
  readText?: ReadText;
}

export type CheckedSite =
  | { ok: true; site: Site; warnings: Problem[] }
  | { ok: false; problems: Problem[]; warnings: Problem[] };

/**
 * Checks a site. Never throws; everything that is wrong is found in one go, in the order of the text.
 *
 * @param text the file's content
 * @param fileName its path, for the problems; htpasswd files are looked for relative to its directory
 */
export function checkSite(text: string, fileName: string, context: CheckContext): CheckedSite {
  const document = readDocument(text);
  const found: Problem[] = document.flaws.map(flaw => ({
    severity: 'error',
    file: fileName,
    ...flaw.position,
    path: formatPath(flaw.path),
    sentence: flaw.sentence,
  }));
  const add = (finding: Finding) => {
    found.push({
      severity: finding.severity ?? 'error',
      file: fileName,
      ...document.locate(finding.path, finding.atKey),
      path: formatPath(finding.path),
      sentence: finding.sentence,
    });
  };
  // What a parser made of broken YAML is guesswork: a schema's complaints about it would mislead.
  if (document.broken) return verdict(found, undefined);

  const { value } = document;
  for (const finding of findings(siteSchema, value)) add(finding);
  const draft = draftOf(value);
  for (const finding of applyRules(draft, context.backends)) add(finding);
  for (const finding of draft.listeners.flatMap(unprotected)) add(finding);
  found.push(...htpasswdProblems(draft, fileName, context.readText ?? readRegularFile, add));

  const parsed = siteSchema.safeParse(value);
  const site = parsed.success ? withAbsolutePaths(parsed.data, fileName) : undefined;
  return verdict(found, site);
}

function verdict(found: readonly Problem[], site: Site | undefined): CheckedSite {
  const sorted = inOrder(found);
  const warnings = sorted.filter(problem => problem.severity === 'warning');
  const problems = sorted.filter(problem => problem.severity === 'error');
  if (problems.length === 0 && site) return { ok: true, site, warnings };
  return { ok: false, problems, warnings };
}

/** The order of the text, file by file. */
function inOrder(found: readonly Problem[]): Problem[] {
  const files = [...new Set(found.map(problem => problem.file))];
  return files.flatMap(file =>
    found.filter(problem => problem.file === file).sort((a, b) => a.line - b.line || a.column - b.column),
  );
}

function unprotected({ path, whole }: DraftListener): Finding[] {
  return whole ? refusalsOfUnprotected(whole, path) : [];
}

/** Reads each password file once, however many listeners share it. */
function htpasswdProblems(
  draft: Draft,
  fileName: string,
  readText: ReadText,
  add: (finding: Finding) => void,
): Problem[] {
  const seen = new Set<string>();
  return draft.listeners.flatMap(({ htpasswd }) => {
    if (!htpasswd) return [];
    const file = beside(fileName, htpasswd.value);
    if (seen.has(file)) return [];
    seen.add(file);
    const checked = checkHtpasswd(file, readText);
    if ('unreadable' in checked) {
      add({ path: htpasswd.path, sentence: `${htpasswd.value} ${checked.unreadable}` });
      return [];
    }
    return checked.problems;
  });
}

function beside(fileName: string, path: string): string {
  return resolve(dirname(fileName), path);
}

/** Daemons run elsewhere than the one who checks. */
function withAbsolutePaths(site: Site, fileName: string): Site {
  const listeners = site.listeners.map(listener => {
    if (!listener.auth) return listener;
    const { basic } = listener.auth;
    return { ...listener, auth: { basic: { ...basic, htpasswd: beside(fileName, basic.htpasswd) } } };
  });
  return { ...site, listeners };
}
