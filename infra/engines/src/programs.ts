import { fileURLToPath } from 'node:url';
import type { AppName } from '@resplice/topology';

/** Where each program's entry file is. */
export type Programs = (app: AppName) => string;

const elsewhere: Partial<Record<AppName, string>> = { link: 'tc-netem-wrapper', postgres: 'postgres' };

export const ownPrograms: Programs = app => {
  const folder = elsewhere[app];
  const file = folder ? `../../${folder}/src/main.ts` : `../../../apps/${app}/src/main.ts`;
  return fileURLToPath(new URL(file, import.meta.url));
};
