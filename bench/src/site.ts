import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackendCommand } from '@resplice/engines';

/** Parallel flows of the bulk download. */
export const FLOWS = 16;
/** Bytes of the small response. */
export const SMALL_BYTES = 1000;

export interface BenchSite {
  readonly command: BackendCommand;
  /** Bytes of `/bulk`; `/part` has a sixteenth. */
  readonly bulkBytes: number;
  remove(): void;
}

/** Fast enough to hide no difference: files from memory by sendfile, no log, no limit on a connection's requests. */
function configuration(root: string): string {
  return `daemon off;
worker_processes 2;
error_log stderr warn;
events {
  worker_connections 8192;
}
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 600s;
  keepalive_requests 100000000;
  open_file_cache max=16;
  server {
    listen 0.0.0.0:@PORT@ backlog=4096;
    root ${root};
  }
}
`;
}

/** Debian's nginx with a small file and sparse big ones, in a directory of its own. */
export function writeSite(bulkBytes: number): BenchSite {
  const directory = mkdtempSync(join(tmpdir(), 'resplice-bench-'));
  // nginx' workers are not root.
  chmodSync(directory, 0o755);
  const root = join(directory, 'root');
  mkdirSync(root);
  writeFileSync(join(root, 'index.html'), 'benchmark\n');
  writeFileSync(join(root, 'small'), 'x'.repeat(SMALL_BYTES));
  for (const [name, bytes] of [
    ['bulk', bulkBytes],
    ['part', bulkBytes / FLOWS],
  ] as const) {
    writeFileSync(join(root, name), '');
    truncateSync(join(root, name), bytes);
  }
  writeFileSync(join(directory, 'nginx.conf'), configuration(root));
  // Back ends of several arms at once: each has files of its own, named after its shell.
  const own = `${directory}/$$`;
  return {
    bulkBytes,
    command: {
      command:
        `sed "s/@PORT@/$PORT/" ${directory}/nginx.conf > ${own}.conf && ` +
        `exec nginx -e stderr -c ${own}.conf -g "pid ${own}.pid;"`,
      directory: '/',
      environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
