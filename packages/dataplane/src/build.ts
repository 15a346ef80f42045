/**
 * Builds every BPF program of the repository and the TypeScript layouts that go with it.
 *
 *   node packages/dataplane/src/build.ts            writes NAME.bpf.o beside each NAME.bpf.c, and layout.generated.ts
 *   node packages/dataplane/src/build.ts --check    builds elsewhere and exits 1 if what is committed is not the same
 *
 * The object files are committed, so that a user needs no compiler. `layouts.json` beside the sources says what to
 * generate: {"structs": [name…], "enums": [name…]}.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { arch, argv } from 'node:process';
import { Btf } from './btf.ts';
import { generate, type Request } from './codegen.ts';
import { loadedSections } from './elf.ts';

const ROOT = join(import.meta.dirname, '../../..');
const SOURCES = ['apps/*/bpf/*.bpf.c', 'packages/*/test/bpf/*.bpf.c'];
/** Where Debian keeps <asm/types.h>, which `-target bpf` does not look for by itself. */
const MULTIARCH =
  { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[arch as string] ?? `${arch}-linux-gnu`;
const EXIT_UNAVAILABLE = 69;

/** The programs of one directory, and the module that is generated from them. */
interface Room {
  /** Relative to the repository, as all paths here. */
  directory: string;
  sources: string[];
  layoutFile: string;
  layoutImport: string;
}

export function findRooms(root = ROOT): Room[] {
  const rooms = new Map<string, Room>();
  for (const source of globSync(SOURCES, { cwd: root }).sort()) {
    const directory = dirname(source);
    const isTest = directory.endsWith('test/bpf');
    const room = rooms.get(directory) ?? {
      directory,
      sources: [],
      layoutFile: join(directory, isTest ? '../layout.generated.ts' : '../src/layout.generated.ts'),
      layoutImport: isTest ? '../src/index.ts' : '@resplice/dataplane',
    };
    room.sources.push(source);
    rooms.set(directory, room);
  }
  return [...rooms.values()];
}

/**
 * Compiles one source. Paths are relative to the repository and debug information is stripped (BTF stays), so that the
 * result does not depend on where the repository lies.
 *
 * @throws Error with the compiler's words on stderr
 */
export function compile(source: string, output: string, root = ROOT): void {
  const flags = ['-g', '-O2', '-mcpu=v3', '-target', 'bpf', '-Wall', '-Werror', '-fdebug-compilation-dir=.'];
  const includes = ['-I', 'packages/dataplane/bpf', `-I/usr/include/${MULTIARCH}`];
  execFileSync('clang', [...flags, ...includes, '-c', source, '-o', output], { cwd: root, stdio: 'inherit' });
  if (isInstalled('llvm-strip')) execFileSync('llvm-strip', ['-g', output], { cwd: root, stdio: 'inherit' });
}

/** The generated module of a room, from its objects. */
export function layouts(room: Room, objects: readonly string[], root = ROOT): string | undefined {
  const manifest = join(root, room.directory, 'layouts.json');
  if (!existsSync(manifest)) return undefined;
  const { structs = [], enums = [] } = JSON.parse(readFileSync(manifest, 'utf8')) as Partial<Request>;
  return generate(objects, { structs, enums }, room.layoutImport);
}

/** @returns what has changed, as sentences; nothing if what is committed is fresh */
export function check(root = ROOT): string[] {
  const scratch = mkdtempSync(join(tmpdir(), 'resplice-bpf-'));
  try {
    return findRooms(root).flatMap(room => checkRoom(room, scratch, root));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function checkRoom(room: Room, scratch: string, root: string): string[] {
  const stale: string[] = [];
  const objects: string[] = [];
  for (const source of room.sources) {
    const fresh = join(scratch, basename(objectOf(source)));
    compile(source, fresh, root);
    objects.push(fresh);
    const committed = join(root, objectOf(source));
    if (!existsSync(committed)) stale.push(`${objectOf(source)} is missing`);
    else
      stale.push(
        ...differences(committed, fresh).map(what => `${objectOf(source)}: ${what} not what ${source} gives`),
      );
  }
  const text = layouts(room, objects, root);
  const file = join(root, room.layoutFile);
  if (text !== undefined && (!existsSync(file) || readFileSync(file, 'utf8') !== text)) {
    stale.push(`${room.layoutFile} is not what the C structs give`);
  }
  return stale;
}

function differences(committed: string, fresh: string): string[] {
  const before = loadedSections(readFileSync(committed));
  const after = loadedSections(readFileSync(fresh));
  const names = new Set([...before.keys(), ...after.keys()]);
  const changed = [...names]
    .filter(name => before.get(name) !== after.get(name))
    .map(name => `section ${name} is`);
  // The definitions of maps are types, and nothing else.
  if (new Btf(committed).fingerprint !== new Btf(fresh).fingerprint)
    changed.push('types or map definitions are');
  return changed;
}

/** Writes all objects and layouts; prints what it writes. */
export function build(root = ROOT): void {
  for (const room of findRooms(root)) {
    for (const source of room.sources) {
      compile(source, objectOf(source), root);
      console.log(objectOf(source));
    }
    const text = layouts(
      room,
      room.sources.map(source => join(root, objectOf(source))),
      root,
    );
    if (text === undefined) continue;
    writeFileSync(join(root, room.layoutFile), text);
    console.log(room.layoutFile);
  }
}

function objectOf(source: string): string {
  return source.replace(/\.c$/, '.o');
}

/** The commands that building needs and that are not installed. */
export function missingTools(): string[] {
  return ['clang', 'bpftool'].filter(command => !isInstalled(command));
}

function isInstalled(command: string): boolean {
  const places = `${process.env.PATH}:/usr/sbin:/sbin`.split(':');
  return places.some(place => existsSync(join(place, command)));
}

if (import.meta.main) {
  const missing = missingTools();
  if (missing.length > 0) {
    console.error(`${missing.join(' and ')} missing. Install: apt-get install clang llvm libbpf-dev bpftool`);
    process.exit(EXIT_UNAVAILABLE);
  }
  if (argv.includes('--check')) {
    const stale = check();
    for (const sentence of stale) console.error(sentence);
    if (stale.length > 0) {
      console.error('Build anew: node packages/dataplane/src/build.ts');
      process.exit(1);
    }
  } else {
    build();
  }
}
