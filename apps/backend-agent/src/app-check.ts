// Whether the application accepts connections: whether somebody listens on its port.
//
// The kernel is asked, not the application. A connection made only to look would take a place in its listen queue, and a
// single-threaded server that is busy with one slow request would find the queue full of us.

import { closeSync, openSync, readSync } from 'node:fs';

const EVERY_MS = 100;
/** The tables of this process's network namespace; listening sockets come first, so the beginning is enough. */
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const BEGINNING = 16_384;
/** `st` of a listening socket (TCP_LISTEN of include/net/tcp_states.h). */
const LISTEN = '0A';
const ANY = /^0+$/;

export interface AppCheckOptions {
  /** Host order; where clients' packets arrive. Sockets of other addresses do not count. */
  address: number;
  port: number;
  /** Called on every change, and with the first result. */
  onChange(accepting: boolean): void;
}

export class AppCheck {
  readonly #options: AppCheckOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.alloc(BEGINNING);
  #accepting: boolean | undefined;

  constructor(options: AppCheckOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
    // Not at once: whoever made this has not got it yet when it is called back.
    setImmediate(() => this.#look());
  }

  get accepting(): boolean {
    return this.#accepting ?? false;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { address, port, onChange } = this.#options;
    const accepting = TABLES.some(table => listens(this.#read(table), address, port));
    if (accepting === this.#accepting) return;
    this.#accepting = accepting;
    onChange(accepting);
  }

  /** The beginning of a table; nothing where the kernel has no such protocol. */
  #read(table: string): string {
    let fd: number;
    try {
      fd = openSync(table, 'r');
    } catch {
      return '';
    }
    try {
      return this.#buffer.toString('latin1', 0, readSync(fd, this.#buffer, 0, BEGINNING, 0));
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * Whether a socket in this table (proc_net_tcp(5)) listens on the port, for all addresses or for this one.
 *
 * @param address host order
 */
export function listens(table: string, address: number, port: number): boolean {
  const wantedPort = port.toString(16).toUpperCase().padStart(4, '0');
  // The kernel prints an address as the machine's number, so on a little-endian one in reverse.
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(address);
  const wantedAddress = bytes.toString('hex').toUpperCase();
  return table.split('\n').some(line => {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [ip = '', localPort] = local.split(':');
    return state === LISTEN && localPort === wantedPort && (ANY.test(ip) || ip.slice(-8) === wantedAddress);
  });
}
