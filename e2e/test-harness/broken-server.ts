/** A server that breaks its responses in a chosen way; each way is named after the fault. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { patternSlice } from '@resplice/demo';

export const SIZE = 400_000;

function pattern(): Buffer {
  return Buffer.from(patternSlice(0, SIZE));
}

function head(extra = `Content-Length: ${SIZE}`): string {
  return `HTTP/1.1 200 OK\r\n${extra}\r\n\r\n`;
}

const faults: Record<string, (socket: Socket) => void> = {
  '/sound': socket => {
    socket.write(head());
    socket.write(pattern());
  },
  '/truncated': socket => {
    socket.write(head());
    socket.end(pattern().subarray(0, SIZE - 1));
  },
  '/truncated-chunked': socket => {
    socket.write(head('Transfer-Encoding: chunked'));
    // The last chunk, of length nought, is missing.
    socket.end(Buffer.concat([Buffer.from(`${SIZE.toString(16)}\r\n`), pattern(), Buffer.from('\r\n')]));
  },
  '/truncated-close': socket => {
    socket.write(head('Connection: close'));
    socket.end(pattern().subarray(0, SIZE - 1));
  },
  '/reset': socket => {
    socket.write(head());
    socket.write(pattern().subarray(0, SIZE / 2), () => socket.resetAndDestroy());
  },
  '/closed': socket => {
    socket.end();
  },
  '/flipped': socket => {
    const body = pattern();
    body[SIZE - 100]! ^= 0x01;
    socket.write(head());
    socket.write(body);
  },
  '/lost': socket => {
    // A thousand bytes are missing in the middle, the length is right.
    socket.write(head());
    socket.write(Buffer.concat([patternSlice(0, 100_000), patternSlice(101_000, SIZE - 100_000)]));
  },
  '/longer': socket => {
    socket.write(head());
    socket.write(Buffer.concat([pattern(), Buffer.from('!')]));
  },
  '/stalled': socket => {
    socket.write(head());
    socket.write(pattern().subarray(0, SIZE / 2));
    setTimeout(() => socket.write(pattern().subarray(SIZE / 2)), 400);
  },
  '/dumb': () => {
    // Never answers.
  },
  '/idle-fin': socket => {
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
  },
};

export interface BrokenServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: () => number;
  close(): void;
}

export async function startBrokenServer(): Promise<BrokenServer> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', data => {
      const path = /^[A-Z]+ (\S+) /.exec(data.toString('latin1'))?.[1];
      if (path !== undefined) faults[path]?.(socket);
    });
  });
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
