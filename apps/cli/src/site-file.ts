import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { LabError, type SiteFile } from '@resplice/engines';
import { type CheckedSite, checkSite, formatProblem, type Problem } from '@resplice/site-config';

/**
 * Checks a `resplice.yaml` for a lab with these back ends.
 * @throws LabError usage when it cannot be read
 */
export function checkSiteFile(file: string, backends: readonly string[]): CheckedSite {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new LabError('usage', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  return checkSite(text, file, { backends });
}

/**
 * A file that can be followed, and what may be wrong with it all the same.
 * @throws LabError usage when it cannot be read, wrong-config with everything that is wrong with it
 */
export function readSiteFile(
  file: string,
  backends: readonly string[],
): { siteFile: SiteFile; warnings: string[] } {
  const checked = checkSiteFile(file, backends);
  const warnings = checked.warnings.map(formatProblem);
  if (checked.ok) return { siteFile: { file: resolve(file), rules: checked.site }, warnings };
  throw new LabError('wrong-config', summary(file, checked.problems), {
    details: [...checked.problems.map(formatProblem), ...warnings],
  });
}

function summary(file: string, problems: readonly Problem[]): string {
  return `${file} cannot be followed: ${problems.length} problem${problems.length === 1 ? '' : 's'}; nothing was changed`;
}

/** The names of a lab's back ends. */
export function backendNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `backend-${i + 1}`);
}
