/** Compiled BPF object files: opened, configured, loaded and pinned by libbpf. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import {
  CarryOver,
  isSameShape,
  type MapShape,
  shapeInKernel,
  shapeOf,
  whyNotCarried,
} from './carry-over.ts';
import { DataplaneError, Errno } from './errors.ts';
import { FormerMaps, openFormer } from './former.ts';
import { objectInfo } from './kernel.ts';
import { libbpf, withLog } from './libbpf.ts';
import { close } from './libc.ts';
import { layoutOfType, type TypeLayout } from './members.ts';
import {
  buildOf,
  describeMap,
  hashOf,
  openPinnedMap,
  pinOfBuild,
  preparePinDirectory,
  removeOtherBuilds,
  replacePin,
  typesOfMap,
} from './pin.ts';
import { variableOffsets } from './variables.ts';

export interface BpfProgram {
  readonly name: string;
  readonly fd: number;
  /** The kernel's hash over the instructions, 16 hex digits: equal tags, equal programs. */
  readonly tag: string;
}

export interface BpfMapHandle {
  readonly name: string;
  /** Closed by the object's `close`. */
  readonly fd: number;
  /** `enum bpf_map_type`. */
  readonly type: number;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes; of one CPU's value in a per-CPU map. */
  readonly valueSize: number;
  /** Entries; bytes of a ring buffer. */
  readonly maxEntries: number;
  /** `BPF_F_…`. */
  readonly flags: number;
}

export interface BpfObject {
  /** @throws Error if the object has no such program */
  program(name: string): BpfProgram;
  /** Also `.bss`, `.data` and `.rodata` by these short names. @throws Error if the object has no such map */
  map(name: string): BpfMapHandle;
  /**
   * To be called when the programs are attached: takes over what the former build's programs have added to its state since this
   * object was loaded. Does nothing if the state was not another build's.
   */
  catchUp(): void;
  /** Shared maps that a build with other layouts has left; a string: why nothing can be made of them. */
  readonly former: FormerMaps | string | undefined;
  /** Closes all file descriptors. What is pinned or attached stays in the kernel. */
  close(): void;
}

export interface LoadOptions {
  /**
   * Directory in a BPF file system; made if missing. Maps are pinned there and re-used by the same build of the object file;
   * another build makes its own. Programs are pinned as `prog_<name>`, replacing older ones. Global variables (`.bss`,
   * `.data`, `.rodata`) are not pinned: they start afresh with each load.
   */
  pinDirectory?: string | undefined;
  /**
   * Hash maps whose entries nobody can make again. They are pinned by their bare names and outlive every build: if theirs have
   * another shape, their entries are carried over.
   */
  state?: readonly string[] | undefined;
  /**
   * Maps that builds have in common whose `types` are laid out alike, if they give them the same sizes: the programs of both work on
   * them at the same time. Pinned under their names and a hash over that. What a build has left that lays them out otherwise is
   * `former`'s.
   */
  shared?: SharedMaps | undefined;
  /** Sizes that replace those in the object file, by map name. */
  maxEntries?: Readonly<Record<string, number>> | undefined;
  /**
   * Sets constants before the verifier sees the program. `view` covers `.rodata`; `offsetOf` finds a global constant in it
   * by its C name and throws if there is none.
   */
  rodata?: ((view: DataView, offsetOf: (variable: string) => number) => void) | undefined;
}

/** Maps of one table: whoever understands one of them understands all. */
export interface SharedMaps {
  readonly maps: readonly string[];
  /** C names, without `struct` or `enum`, of all that stands in these maps; what nobody names may change unnoticed. */
  readonly types: readonly string[];
}

/**
 * Loads a BPF object file into the kernel.
 *
 * @throws DataplaneError with libbpf's and the verifier's words in its message (the end of them) and its `log` (all)
 * @throws Error that names state that cannot be carried over, an unknown map, or a directory that cannot hold pins
 */
export function loadObject(path: string, options: LoadOptions = {}): BpfObject {
  if (!existsSync(path))
    throw new Error(`there is no BPF object ${path}. Build it: node packages/dataplane/src/build.ts`);
  if (options.pinDirectory !== undefined) preparePinDirectory(options.pinDirectory);
  const opened = withLog(() => libbpf().bpf_object__open_file(path, null));
  const object = opened.result;
  if (object === null)
    throw new DataplaneError(`cannot read the BPF object ${path}`, Errno.EINVAL, opened.log);
  const { pinDirectory } = options;
  let former: FormerState[] = [];
  let left: FormerMaps | string | undefined;
  try {
    configure(object, path, options);
    const shared = options.shared && sharedOf(object, path, options.shared);
    if (shared && pinDirectory !== undefined)
      left = openFormer(pinDirectory, options.shared!.maps, shared.types, shared.mark);
    former = reusePins(object, path, options, shared?.mark);
    const { result, log } = withLog(() => libbpf().bpf_object__load(object));
    if (result < 0) throw loadError(path, -result, log);
    const carried = former.map(state => takeOver(state));
    if (pinDirectory !== undefined) {
      pinPrograms(object, pinDirectory);
      const sharedMaps = options.shared?.maps ?? [];
      const others = [...each(object, libbpf().bpf_object__next_map)]
        .map(map => shortName(libbpf().bpf_map__name(map)))
        .filter(name => !options.state?.includes(name) && !sharedMaps.includes(name));
      removeOtherBuilds(pinDirectory, others, buildOf(path));
      if (shared) removeOtherBuilds(pinDirectory, sharedMaps, shared.mark);
    }
    return describe(object, path, former, carried, left);
  } catch (error) {
    for (const { pinned } of former) close(pinned.fd);
    if (left instanceof FormerMaps) left.close();
    libbpf().bpf_object__close(object);
    throw error;
  }
}

/** A map of state that needs to be carried over. */
interface FormerState {
  readonly pinned: BpfMapHandle;
  readonly shape: MapShape;
  readonly map: bigint;
  readonly wanted: MapShape;
  readonly path: string;
}

/** Gives maps their sizes and constants their values. */
function configure(object: bigint, path: string, options: LoadOptions): void {
  const maps = new Map<string, bigint>();
  for (const map of each(object, libbpf().bpf_object__next_map))
    maps.set(shortName(libbpf().bpf_map__name(map)), map);
  const { state = [], shared, maxEntries = {} } = options;
  const unknown = [...Object.keys(maxEntries), ...state, ...(shared?.maps ?? [])].find(
    name => !maps.has(name),
  );
  if (unknown !== undefined) throw new Error(`${path} has no map ${unknown}`);
  for (const [name, size] of Object.entries(maxEntries)) {
    const result = libbpf().bpf_map__set_max_entries(maps.get(name)!, size);
    if (result < 0) throw new DataplaneError(`cannot give map ${name} of ${path} ${size} entries`, -result);
  }
  const constants = maps.get('.rodata');
  if (constants !== undefined && options.rodata) writeConstants(object, constants, options.rodata);
}

/** @returns state that is pinned in another shape */
function reusePins(
  object: bigint,
  path: string,
  { pinDirectory, state = [], shared }: LoadOptions,
  mark: string | undefined,
): FormerState[] {
  const former: FormerState[] = [];
  if (pinDirectory === undefined) return former;
  for (const map of each(object, libbpf().bpf_object__next_map)) {
    const name = shortName(libbpf().bpf_map__name(map));
    if (name.startsWith('.')) continue;
    const isState = state.includes(name);
    const isShared = mark !== undefined && shared?.maps.includes(name);
    const own = isState ? name : pinOfBuild(name, isShared ? mark : buildOf(path));
    const found = reusePin(object, map, join(pinDirectory, own), isState);
    if (found) former.push(found);
  }
  return former;
}

interface Shared {
  /** As they stand in the object, by name. */
  readonly types: ReadonlyMap<string, TypeLayout>;
  /** Names what programs must have in common to work on the same maps. */
  readonly mark: string;
}

/** @throws Error if the object has no such type */
function sharedOf(object: bigint, path: string, { maps, types }: SharedMaps): Shared {
  const btf = libbpf().bpf_object__btf(object);
  if (btf === null) throw new Error(`${path} has no types: compile it with -g`);
  const sizes = [...each(object, libbpf().bpf_object__next_map)]
    .map(map => sizesOf(map, shortName(libbpf().bpf_map__name(map))))
    .filter(({ name }) => maps.includes(name));
  const layouts = types.map((type): [string, TypeLayout] => {
    const layout = layoutOfType(btf, type);
    if (layout === undefined) throw new Error(`${path} has no type ${type}`);
    return [type, layout];
  });
  return { types: new Map(layouts), mark: hashOf(JSON.stringify([sizes, layouts])) };
}

function writeConstants(object: bigint, map: bigint, write: NonNullable<LoadOptions['rodata']>): void {
  const size: [number] = [0];
  const memory = libbpf().bpf_map__initial_value(map, size);
  const view = new DataView(koffi.view(memory, Number(size[0])));
  write(view, variableOffsets(object, '.rodata'));
}

/**
 * Has the map use the pin, if it can.
 *
 * @returns what is pinned, if it is of another shape; the caller closes it
 */
function reusePin(object: bigint, map: bigint, path: string, isState: boolean): FormerState | undefined {
  const pinned = openPinnedMap(path);
  if (pinned) {
    const { name } = pinned;
    const shape = shapeInKernel(pinned, typesOfMap(pinned.fd, name));
    const wanted = shapeOf(sizesOf(map, name), {
      btf: libbpf().bpf_object__btf(object),
      key: libbpf().bpf_map__btf_key_type_id(map),
      value: libbpf().bpf_map__btf_value_type_id(map),
    });
    const isSame = isSameShape(shape, wanted);
    const obstacle = isSame || !isState ? undefined : whyNotCarried(shape, wanted);
    if (!isSame && isState && obstacle === undefined) return { pinned, shape, map, wanted, path };
    close(pinned.fd);
    if (obstacle !== undefined) throw stateIsLost(path, obstacle);
    if (!isSame) rmSync(path);
  }
  const result = libbpf().bpf_map__set_pin_path(map, path);
  if (result < 0) throw new DataplaneError(`cannot use ${path} for a pin`, -result);
  return undefined;
}

function stateIsLost(path: string, obstacle: string): Error {
  return new Error(
    `the state pinned at ${path} cannot be carried over to this version: ${obstacle}. ` +
      'Run the version that left it until its connections have ended; or remove the pin, and they break',
  );
}

// From here a crash leaves a pin that lacks what the old programs add until the new ones are attached: at most the connections
// that are made meanwhile.
function takeOver({ pinned, shape, map, wanted, path }: FormerState): CarryOver {
  const carryOver = new CarryOver(pinned, shape, describeMap(libbpf().bpf_map__fd(map), pinned.name), wanted);
  carryOver.copy();
  replacePin(path, temporary => libbpf().bpf_map__pin(map, temporary));
  return carryOver;
}

function sizesOf(map: bigint, name: string): Omit<BpfMapHandle, 'fd'> {
  return {
    name,
    type: libbpf().bpf_map__type(map),
    keySize: libbpf().bpf_map__key_size(map),
    valueSize: libbpf().bpf_map__value_size(map),
    maxEntries: libbpf().bpf_map__max_entries(map),
    flags: libbpf().bpf_map__map_flags(map),
  };
}

// From here a crash leaves the new pins beside the attached old programs, which is harmless: the next start replaces both.
function pinPrograms(object: bigint, directory: string): void {
  for (const program of each(object, libbpf().bpf_object__next_program)) {
    const path = join(directory, `prog_${libbpf().bpf_program__name(program)}`);
    replacePin(path, temporary => libbpf().bpf_program__pin(program, temporary));
  }
}

function describe(
  object: bigint,
  path: string,
  former: readonly FormerState[],
  carried: readonly CarryOver[],
  left: FormerMaps | string | undefined,
): BpfObject {
  const programs = new Map<string, BpfProgram>();
  for (const program of each(object, libbpf().bpf_object__next_program)) {
    const name = libbpf().bpf_program__name(program);
    const fd = libbpf().bpf_program__fd(program);
    programs.set(name, { name, fd, tag: tagOf(fd, name) });
  }
  const maps = new Map<string, BpfMapHandle>();
  for (const map of each(object, libbpf().bpf_object__next_map)) {
    const name = shortName(libbpf().bpf_map__name(map));
    maps.set(name, describeMap(libbpf().bpf_map__fd(map), name));
  }
  let open = true;
  return {
    program: name => found(programs, name, `program`, path),
    map: name => found(maps, name, `map`, path),
    former: left,
    catchUp() {
      for (const state of carried) state.copy();
    },
    close() {
      if (!open) return;
      for (const { pinned } of former) close(pinned.fd);
      if (left instanceof FormerMaps) left.close();
      libbpf().bpf_object__close(object);
      open = false;
    },
  };
}

function found<T>(all: ReadonlyMap<string, T>, name: string, kind: string, path: string): T {
  const one = all.get(name);
  if (one === undefined)
    throw new Error(`${path} has no ${kind} ${name}; it has ${[...all.keys()].join(', ')}`);
  return one;
}

/** `struct bpf_prog_info` begins { type, id, tag[8] }. */
function tagOf(fd: number, name: string): string {
  const info = new ArrayBuffer(16);
  objectInfo(fd, info, `program ${name}`);
  return Buffer.from(info, 8, 8).toString('hex');
}

/** libbpf puts (a part of) the object's name before the names of the maps that hold global variables. */
function shortName(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? name : name.slice(dot);
}

function* each(
  object: bigint,
  next: (object: bigint, previous: bigint | null) => bigint | null,
): Generator<bigint, void, undefined> {
  for (let at = next(object, null); at !== null; at = next(object, at)) yield at;
}

/** How much of the log stands in the message itself; the verifier's verdict is at its end. */
const MESSAGE_LINES = 20;

function loadError(path: string, errno: number, log: string): DataplaneError {
  const lines = log.split('\n');
  const program = /prog '([^']+)': (?:BPF program load failed|failed to load)/.exec(log)?.[1];
  const what = program
    ? `cannot load ${path}: the kernel refused program ${program}`
    : `cannot load ${path} into the kernel`;
  const advice =
    errno === Errno.EPERM
      ? 'Run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON'
      : `libbpf and the verifier say:\n${lines.slice(-MESSAGE_LINES).join('\n')}`;
  return new DataplaneError(what, errno, advice, log);
}
