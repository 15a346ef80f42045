// What tests say about a site's text.

import { type CheckContext, checkSite } from '../src/check.ts';
import { formatProblem } from '../src/problem.ts';
import type { Site } from '../src/schema.ts';

const context: CheckContext = {
  backends: ['backend-1', 'backend-2'],
  readText: () => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
};

/** Everything that is found, errors first, without the file's name. */
export function found(text: string, more: Partial<CheckContext> = {}): string[] {
  const checked = checkSite(text, 'x.yaml', { ...context, ...more });
  const problems = checked.ok ? checked.warnings : [...checked.problems, ...checked.warnings];
  return problems.map(problem => formatProblem(problem).replace(/^x\.yaml:/, ''));
}

/** The site of a text that has no errors. */
export function siteOf(text: string, more: Partial<CheckContext> = {}): Site {
  const checked = checkSite(text, 'x.yaml', { ...context, ...more });
  if (!checked.ok) throw new Error(checked.problems.map(formatProblem).join('\n'));
  return checked.site;
}

/** A site whose first listener has these routes (YAML of a flow sequence). */
export function routed(routes: string, pools = ['a', 'b', 'c', 'd']): string {
  return `listeners: [{name: web, port: 80, routes: ${routes}}]
pools: {${pools.map(name => `${name}: {backends: all}`).join(', ')}}`;
}
