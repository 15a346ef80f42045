import type { Client } from '@resplice/e2e/fixtures/client.ts';
import type { DrillLab } from './lab.ts';
import type { Site } from './site.ts';
import type { Witness } from './witness.ts';

/** What all runs share. */
export interface Scene {
  readonly lab: DrillLab;
  readonly client: Client;
  readonly site: Site;
  readonly witness: Witness | null;
  readonly seed: number;
  /** What this drill's requests are told from those of others by. */
  readonly mark: string;
}
