/** Just enough of ELF to compare two BPF object files (elf(5)). Build time only. */

const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SHT_REL = 9;
const SHF_ALLOC = 2;

interface Section {
  name: string;
  type: number;
  flags: number;
  link: number;
  /** Of a relocation section: which section it changes. */
  info: number;
  data: DataView;
}

/**
 * What the kernel gets to see of an object file: for every section that is loaded, its bytes and its relocations (a map
 * is named only there). Debug information and file paths are left out.
 *
 * @returns a comparable text per section
 * @throws Error if this is not a 64-bit little-endian ELF file
 */
export function loadedSections(file: Uint8Array): Map<string, string> {
  const sections = readSections(file);
  const symbols = sections.find(section => section.type === SHT_SYMTAB);
  const result = new Map<string, string>();
  for (const [index, section] of sections.entries()) {
    if (!(section.flags & SHF_ALLOC)) continue;
    const { buffer, byteOffset, byteLength } = section.data;
    let text = Buffer.from(buffer, byteOffset, byteLength).toString('hex');
    for (const relocation of sections) {
      if (relocation.type !== SHT_REL || relocation.info !== index || !symbols) continue;
      text += relocations(relocation.data, symbols, sections);
    }
    result.set(section.name, text);
  }
  return result;
}

function readSections(file: Uint8Array): Section[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 64 || view.getUint32(0) !== 0x7f454c46 || view.getUint16(4) !== 0x0201) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const table = Number(view.getBigUint64(40, true));
  const [entrySize, count, names] = [58, 60, 62].map(at => view.getUint16(at, true)) as [
    number,
    number,
    number,
  ];
  const headers = Array.from({ length: count }, (_, i) => {
    const at = table + i * entrySize;
    const type = view.getUint32(at + 4, true);
    const start = Number(view.getBigUint64(at + 24, true));
    const size = Number(view.getBigUint64(at + 32, true));
    return {
      nameAt: view.getUint32(at, true),
      type,
      flags: Number(view.getBigUint64(at + 8, true)),
      link: view.getUint32(at + 40, true),
      info: view.getUint32(at + 44, true),
      data: new DataView(file.buffer, file.byteOffset + start, type === SHT_NOBITS ? 0 : size),
    };
  });
  const strings = headers[names]?.data;
  return headers.map(({ nameAt, ...rest }) => ({ ...rest, name: strings ? textAt(strings, nameAt) : '' }));
}

/** `Elf64_Rel { r_offset, r_info }` and `Elf64_Sym { st_name, st_info, st_other, st_shndx, st_value, st_size }`. */
function relocations(entries: DataView, symbols: Section, sections: readonly Section[]): string {
  const strings = sections[symbols.link]?.data;
  let text = '';
  for (let at = 0; at < entries.byteLength; at += 16) {
    const symbol = entries.getUint32(at + 12, true) * 24;
    const name = strings ? textAt(strings, symbols.data.getUint32(symbol, true)) : '';
    // The symbol of a whole section has no name of its own.
    const target = name || sections[symbols.data.getUint16(symbol + 6, true)]?.name;
    text += `\n${entries.getBigUint64(at, true)} ${entries.getUint32(at + 8, true)} ${target}`;
  }
  return text;
}

function textAt(strings: DataView, start: number): string {
  let end = start;
  while (strings.getUint8(end) !== 0) end++;
  return Buffer.from(strings.buffer, strings.byteOffset + start, end - start).toString();
}
