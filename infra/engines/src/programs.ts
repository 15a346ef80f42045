import { fileURLToPath } from 'node:url';
import type { AppName } from '@resplice/topology';

/** Where each program's entry file is. */
export type Programs = (app: AppName) => string;

export const ownPrograms: Programs = app =>
  fileURLToPath(
    new URL(
      app === 'link' ? '../../tc-netem-wrapper/src/main.ts' : `../../../apps/${app}/src/main.ts`,
      import.meta.url,
    ),
  );
