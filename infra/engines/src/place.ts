import { join } from 'node:path';

/**
 * Where a lab lives on this machine: every path and kernel name it owns derives from the place's name, so that
 * cleaning up can never reach what is not ours. Users get the place `resplice`; tests make their own beside it.
 */
export interface Place {
  readonly name: string;
  readonly runDirectory: string;
  readonly labFile: string;
  readonly keyFile: string;
  /** Mount point of the lab's own bpffs. */
  readonly bpfDirectory: string;
  readonly netnsPrefix: string;
}

export const netnsDirectory = '/run/netns';

export function placeNamed(name: string): Place {
  if (!/^[a-z][a-z0-9]*$/.test(name))
    throw new RangeError(`a place's name is lower-case letters and digits: ${name}`);
  const runDirectory = join('/run', name);
  return {
    name,
    runDirectory,
    labFile: join(runDirectory, 'lab.json'),
    keyFile: join(runDirectory, 'key'),
    bpfDirectory: join(runDirectory, 'bpf'),
    netnsPrefix: `${name}-`,
  };
}

export const labPlace: Place = placeNamed('resplice');

export function netnsOf(place: Place, component: string): string {
  return place.netnsPrefix + component;
}

export function netnsPathOf(place: Place, component: string): string {
  return join(netnsDirectory, netnsOf(place, component));
}

export function pinDirectoryOf(place: Place, component: string): string {
  return join(place.bpfDirectory, component);
}

export function componentDirectoryOf(place: Place, component: string): string {
  return join(place.runDirectory, component);
}

/** Where a component keeps what outlives its processes. */
export function dataDirectoryOf(place: Place, component: string): string {
  return join(componentDirectoryOf(place, component), 'data');
}

export interface ProcessFiles {
  /** A daemon's. */
  readonly config: string;
  /** Of a server that is not ours, in its own language. */
  readonly serverConfig: string;
  readonly log: string;
  readonly socket: string;
}

/** What a back end's kit reads at its start. */
export function kitFilesOf(
  place: Place,
  component: string,
): { readonly config: string; readonly key: string } {
  const directory = componentDirectoryOf(place, component);
  return { config: join(directory, 'kit.json'), key: join(directory, 'kit.key') };
}

export function processFilesOf(place: Place, component: string, process: string): ProcessFiles {
  const stem = join(componentDirectoryOf(place, component), process);
  return { config: `${stem}.json`, serverConfig: `${stem}.conf`, log: `${stem}.log`, socket: `${stem}.sock` };
}
