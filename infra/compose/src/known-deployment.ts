// The deployment as every container finds it, in a volume that one of them writes: what changes there while the others run is not
// part of theirs, so none of them is made anew for it.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Topology } from '@resplice/topology';
import { type Deployment, plainSettings, type Settings, topologyFor } from './deployment.ts';
import { deploymentDirectory } from './paths.ts';

interface Known {
  readonly deployment: Deployment;
  readonly settings: Settings;
}

function fileIn(directory: string): string {
  return join(directory, 'deployment.json');
}

function read(directory: string): Known {
  return JSON.parse(readFileSync(fileIn(directory), 'utf8')) as Known;
}

/** Whoever reads it finds the old file or the new one. */
function write(known: Known, directory: string): void {
  const file = fileIn(directory);
  writeFileSync(`${file}.next`, `${JSON.stringify(known, null, 2)}\n`);
  renameSync(`${file}.next`, file);
}

/** From here on these are the members; what was settled of them before stays so. */
export function makeKnown(deployment: Deployment, directory = deploymentDirectory): void {
  const settings = existsSync(fileIn(directory)) ? read(directory).settings : plainSettings;
  const members = topologyFor(deployment).hosts.map(({ name }) => name);
  const drained = settings.drained.filter(name => members.includes(name));
  write({ deployment, settings: { ...settings, drained } }, directory);
}

export function settle(deployment: Deployment, settings: Settings, directory = deploymentDirectory): void {
  // Nonsense is found here, and not by everybody at the next start.
  topologyFor(deployment, settings);
  write({ deployment, settings }, directory);
}

export function knownTopology(directory = deploymentDirectory): Topology {
  const { deployment, settings } = read(directory);
  return topologyFor(deployment, settings);
}
