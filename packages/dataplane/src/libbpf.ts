/** libbpf.so.1 (1.1 or later), bound at first use: whoever only computes needs no libbpf installed. */
import koffi from 'koffi';
import { vsnprintf } from './libc.ts';

type Pointer = bigint | null;

/** The functions in use. Those that answer `int` give 0 or a negative errno. */
export interface Libbpf {
  bpf_object__open_file(path: string, options: Pointer): Pointer;
  bpf_object__load(object: Pointer): number;
  bpf_object__close(object: Pointer): void;
  bpf_object__btf(object: Pointer): Pointer;
  bpf_object__next_map(object: Pointer, previous: Pointer): Pointer;
  bpf_object__next_program(object: Pointer, previous: Pointer): Pointer;
  bpf_map__name(map: Pointer): string;
  bpf_map__fd(map: Pointer): number;
  bpf_map__type(map: Pointer): number;
  bpf_map__key_size(map: Pointer): number;
  bpf_map__value_size(map: Pointer): number;
  bpf_map__max_entries(map: Pointer): number;
  bpf_map__map_flags(map: Pointer): number;
  bpf_map__set_max_entries(map: Pointer, entries: number): number;
  bpf_map__set_pin_path(map: Pointer, path: string): number;
  bpf_map__btf_key_type_id(map: Pointer): number;
  bpf_map__btf_value_type_id(map: Pointer): number;
  bpf_map__pin(map: Pointer, path: string): number;
  bpf_map__initial_value(map: Pointer, size: [number]): Pointer;
  bpf_program__name(program: Pointer): string;
  bpf_program__fd(program: Pointer): number;
  bpf_program__pin(program: Pointer, path: string): number;
  bpf_tc_hook_create(hook: ArrayBuffer): number;
  bpf_tc_attach(hook: ArrayBuffer, options: ArrayBuffer): number;
  bpf_tc_detach(hook: ArrayBuffer, options: ArrayBuffer): number;
  bpf_tc_query(hook: ArrayBuffer, options: ArrayBuffer): number;
  btf__find_by_name_kind(btf: Pointer, name: string, kind: number): number;
  btf__type_by_id(btf: Pointer, id: number): Pointer;
  btf__name_by_offset(btf: Pointer, offset: number): string;
  btf__resolve_size(btf: Pointer, id: number): number;
  btf__load_from_kernel_by_id(id: number): Pointer;
  btf__free(btf: Pointer): void;
  libbpf_num_possible_cpus(): number;
}

const PROTOTYPES: Record<keyof Libbpf, string> = {
  bpf_object__open_file: 'void *bpf_object__open_file(const char *path, const void *options)',
  bpf_object__load: 'int bpf_object__load(void *object)',
  bpf_object__close: 'void bpf_object__close(void *object)',
  bpf_object__btf: 'void *bpf_object__btf(const void *object)',
  bpf_object__next_map: 'void *bpf_object__next_map(const void *object, const void *previous)',
  bpf_object__next_program: 'void *bpf_object__next_program(const void *object, void *previous)',
  bpf_map__name: 'const char *bpf_map__name(const void *map)',
  bpf_map__fd: 'int bpf_map__fd(const void *map)',
  bpf_map__type: 'int bpf_map__type(const void *map)',
  bpf_map__key_size: 'uint bpf_map__key_size(const void *map)',
  bpf_map__value_size: 'uint bpf_map__value_size(const void *map)',
  bpf_map__max_entries: 'uint bpf_map__max_entries(const void *map)',
  bpf_map__map_flags: 'uint bpf_map__map_flags(const void *map)',
  bpf_map__set_max_entries: 'int bpf_map__set_max_entries(void *map, uint entries)',
  bpf_map__set_pin_path: 'int bpf_map__set_pin_path(void *map, const char *path)',
  bpf_map__btf_key_type_id: 'uint bpf_map__btf_key_type_id(const void *map)',
  bpf_map__btf_value_type_id: 'uint bpf_map__btf_value_type_id(const void *map)',
  bpf_map__pin: 'int bpf_map__pin(void *map, const char *path)',
  bpf_map__initial_value: 'void *bpf_map__initial_value(void *map, _Out_ size_t *size)',
  bpf_program__name: 'const char *bpf_program__name(const void *program)',
  bpf_program__fd: 'int bpf_program__fd(const void *program)',
  bpf_program__pin: 'int bpf_program__pin(void *program, const char *path)',
  bpf_tc_hook_create: 'int bpf_tc_hook_create(void *hook)',
  bpf_tc_attach: 'int bpf_tc_attach(const void *hook, void *options)',
  bpf_tc_detach: 'int bpf_tc_detach(const void *hook, const void *options)',
  bpf_tc_query: 'int bpf_tc_query(const void *hook, void *options)',
  btf__find_by_name_kind: 'int btf__find_by_name_kind(const void *btf, const char *name, uint kind)',
  btf__type_by_id: 'void *btf__type_by_id(const void *btf, uint id)',
  btf__name_by_offset: 'const char *btf__name_by_offset(const void *btf, uint offset)',
  btf__resolve_size: 'int64_t btf__resolve_size(const void *btf, uint id)',
  btf__load_from_kernel_by_id: 'void *btf__load_from_kernel_by_id(uint id)',
  btf__free: 'void btf__free(void *btf)',
  libbpf_num_possible_cpus: 'int libbpf_num_possible_cpus(void)',
};

interface Loaded {
  functions: Libbpf;
  setPrint(callback: Pointer): Pointer;
  collector: bigint;
}

let loaded: Loaded | undefined;

/** @throws Error with the package to install, if there is no libbpf.so.1 */
export function libbpf(): Libbpf {
  loaded ??= load();
  return loaded.functions;
}

function load(): Loaded {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libbpf.so.1');
  } catch (cause) {
    throw new Error('libbpf.so.1 cannot be loaded. Install it: apt-get install libbpf1', { cause });
  }
  const functions = Object.fromEntries(
    Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]),
  ) as unknown as Libbpf;
  const print = koffi.proto('int (int level, void *format, void *arguments)');
  const setPrint = library.func('libbpf_set_print', 'void *', ['void *']) as Loaded['setPrint'];
  // By default libbpf writes to stderr, also where we expect a failure (a clsact qdisc that exists already).
  setPrint(null);
  return { functions, setPrint, collector: koffi.register(collect, koffi.pointer(print)) };
}

/** Messages of levels above this are for libbpf's own developers: `LIBBPF_WARN`. */
const WARN = 0;
/** A verifier log may have megabytes. Untouched pages of the buffer cost nothing. */
const MESSAGE_BYTES = 16 << 20;

let messages: string[] = [];
let buffer: Uint8Array | undefined;

function collect(level: number, format: bigint, args: bigint): number {
  if (level > WARN) return 0;
  buffer ??= new Uint8Array(MESSAGE_BYTES);
  const length = Math.min(vsnprintf(buffer, buffer.length, format, args), buffer.length - 1);
  messages.push(Buffer.from(buffer.subarray(0, length)).toString());
  return 0;
}

/**
 * Runs `work` and gives what libbpf complained about meanwhile.
 *
 * libbpf has one print function per process. It is ours only while this synchronous call runs: a callback left behind
 * would be called on other threads, too, and these would wait for this thread's event loop.
 */
export function withLog<T>(work: () => T): { result: T; log: string } {
  libbpf();
  const { setPrint, collector } = loaded as Loaded;
  messages = [];
  setPrint(collector);
  try {
    const result = work();
    return {
      result,
      log: messages
        .join('')
        .replaceAll(/^libbpf: /gm, '')
        .trim(),
    };
  } finally {
    setPrint(null);
    messages = [];
  }
}
