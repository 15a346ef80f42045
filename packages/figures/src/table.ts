/** How wide each column is, for a heading and rows of as many cells. */
export function columnWidths(rows: readonly (readonly string[])[]): number[] {
  return rows[0]!.map((_, column) => Math.max(3, ...rows.map(row => row[column]!.length)));
}

/** A heading and rows as a table in Markdown; nothing for no rows at all. */
export function markdownTable(rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  // A bar in a cell would begin another one.
  const escaped = rows.map(row => row.map(text => text.replaceAll('|', '\\|')));
  const widths = columnWidths(escaped);
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, column) => text.padEnd(widths[column]!)).join(' | ')} |`;
  const [heading, ...body] = escaped;
  return [line(heading!), line(widths.map(width => '-'.repeat(width))), ...body.map(line)];
}
