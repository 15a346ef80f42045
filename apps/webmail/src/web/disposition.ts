/** The Content-Disposition of a file to be kept, whatever its sender called it (RFC 6266, RFC 8187). */
export function contentDisposition(name: string): string {
  // Neither a path nor a way out of the quotes nor a second line.
  const flat = name
    .replace(/[\p{Cc}/\\]/gu, '_')
    .slice(0, 200)
    .toWellFormed();
  const ascii = flat.replace(/[^\x20-\x7e]/g, '_').replace(/["%]/g, '_');
  const encoded = encodeURIComponent(flat).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
