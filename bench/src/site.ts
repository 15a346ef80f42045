import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackendCommand } from '@resplice/engines';

/** Parallel flows of the bulk download. */
export const FLOWS = 16;
/** What is uploaded is kept here, so that no disk is measured. */
const MEMORY = '/dev/shm';
/** Bytes of the small response. */
export const SMALL_BYTES = 1000;

export interface BenchSite {
  readonly command: BackendCommand;
  /** What a client may PUT below `/uploads/`: half as long as `/bulk`. */
  readonly upload: { readonly file: string; readonly bytes: number };
  remove(): void;
}

/**
 * Fast enough to hide no difference: files from memory by sendfile, uploads into memory, no log, no limit on a connection's
 * requests.
 */
function configuration(root: string, uploads: string): string {
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
    location /uploads/ {
      root ${uploads};
      dav_methods PUT;
      client_max_body_size 0;
      client_body_buffer_size 1m;
      # In the same file system, so that what has come need only be renamed.
      client_body_temp_path ${uploads}/bodies;
    }
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
  const uploads = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'resplice-bench-'));
  chmodSync(uploads, 0o755);
  for (const name of ['uploads', 'bodies']) {
    mkdirSync(join(uploads, name));
    chmodSync(join(uploads, name), 0o777);
  }
  mkdirSync(root);
  writeFileSync(join(root, 'index.html'), 'benchmark\n');
  writeFileSync(join(root, 'small'), 'x'.repeat(SMALL_BYTES));
  const upload = { file: join(directory, 'upload'), bytes: bulkBytes / 2 };
  for (const [file, bytes] of [
    [join(root, 'bulk'), bulkBytes],
    [join(root, 'part'), bulkBytes / FLOWS],
    [upload.file, upload.bytes],
  ] as const) {
    writeFileSync(file, '');
    truncateSync(file, bytes);
  }
  writeFileSync(join(directory, 'nginx.conf'), configuration(root, uploads));
  // Back ends of several arms at once: each has files of its own, named after its shell.
  const own = `${directory}/$$`;
  return {
    upload,
    command: {
      command:
        `sed "s/@PORT@/$PORT/" ${directory}/nginx.conf > ${own}.conf && ` +
        `exec nginx -e stderr -c ${own}.conf -g "pid ${own}.pid;"`,
      directory: '/',
      environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    },
    remove() {
      for (const each of [directory, uploads]) rmSync(each, { recursive: true, force: true });
    },
  };
}
