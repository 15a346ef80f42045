// The kit's configuration: a file that `RESPLICE_KIT` names. Without the variable the kit is off.

import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs';
import { isIPv4 } from 'node:net';
import { basename, dirname } from 'node:path';
import { listenerSchema, timeoutClassesInMs } from '@resplice/site-config';
import { z } from 'zod';

const port = z.int().min(1).max(65_535);
const address = z.string().refine(isIPv4, 'must be an IPv4 address');
const name = z.string().min(1).max(128);

const schema = z
  .strictObject({
    /** Our name among the members. */
    self: name,
    /** Where other kits and loggers call. */
    listen: z.strictObject({ address, port }),
    /** The agent's identity service, on 127.0.0.1. */
    agentPort: port.default(7003),
    /** 64 hex digits, readable by its owner alone. */
    keyFile: z.string().min(1),
    /** All back ends, in the configuration's order. */
    members: z.array(z.strictObject({ name, address, port })).min(1),
    /** How long a peer's answer is waited for, milliseconds. */
    answerMs: z.int().min(10).max(10_000).optional(),
    /** Names of those who may call beside the members. */
    loggers: z.array(name).default([]),
    /** The listeners that lead here, for a check of the routes' tags. */
    site: z
      .strictObject({ listeners: z.array(listenerSchema), timeoutClasses: timeoutClassesInMs.default({}) })
      .optional(),
  })
  .refine(({ self, members }) => members.some(member => member.name === self), {
    path: ['self'],
    error: 'must be one of the members',
  })
  .refine(({ members }) => new Set(members.map(member => member.name)).size === members.length, {
    path: ['members'],
    error: 'must have different names',
  });

export type KitConfig = Omit<z.output<typeof schema>, 'keyFile'> & {
  /** 32 bytes. */
  readonly kitKey: Uint8Array;
};

/** A configuration that cannot be used; says every problem. */
export class KitConfigError extends Error {
  constructor(file: string, problems: readonly string[]) {
    super(problems.map(problem => `RESPLICE_KIT: ${file}: ${problem}`).join('\n'));
    this.name = 'KitConfigError';
  }
}

/**
 * The configuration that the environment names; undefined when it names none.
 * @throws KitConfigError
 */
export function readKitConfig(environment: NodeJS.ProcessEnv): KitConfig | undefined {
  const file = environment.RESPLICE_KIT;
  if (file === undefined || file === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new KitConfigError(file, [(error as Error).message]);
  }
  const checked = schema.safeParse(value);
  if (!checked.success) {
    throw new KitConfigError(
      file,
      checked.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'it'}: ${message}`),
    );
  }
  const { keyFile, ...config } = checked.data;
  return { ...config, kitKey: readKey(file, keyFile) };
}

/** A file that is written in several steps is read after the last. */
const SETTLE_MS = 100;

/**
 * Reads the configuration again whenever its file changes, be it that another one takes its place.
 *
 * @param environment as for {@link readKitConfig}
 * @param onProblem it cannot be used; what is followed stays
 * @returns stops that
 */
export function watchKitConfig(
  environment: NodeJS.ProcessEnv,
  onChange: (config: KitConfig) => void,
  onProblem: (problem: Error) => void,
): () => void {
  const file = environment.RESPLICE_KIT ?? '';
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    try {
      const config = readKitConfig(environment);
      if (config) onChange(config);
    } catch (error) {
      onProblem(error as Error);
    }
  };
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
      if (name !== basename(file)) return;
      clearTimeout(timer);
      timer = setTimeout(look, SETTLE_MS).unref();
    });
    watcher.on('error', onProblem);
  } catch (error) {
    // The system may be out of watches: the application serves all the same.
    onProblem(error as Error);
  }
  return () => {
    clearTimeout(timer);
    watcher?.close();
  };
}

function readKey(file: string, keyFile: string): Uint8Array {
  const refuse = (why: string): never => {
    throw new KitConfigError(file, [`keyFile: ${keyFile} ${why}`]);
  };
  let text = '';
  try {
    if (statSync(keyFile).mode & 0o077) refuse('may be read or written by others: chmod 600 it');
    text = readFileSync(keyFile, 'latin1').trimEnd();
  } catch (error) {
    if (error instanceof KitConfigError) throw error;
    refuse(`cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) refuse('must hold 64 hex digits');
  return Uint8Array.from(Buffer.from(text, 'hex'));
}
