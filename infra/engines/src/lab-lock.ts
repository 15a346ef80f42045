import { connect, createServer, type Server, type Socket } from 'node:net';
import { LabError } from './errors.ts';
import type { Place } from './place.ts';

/**
 * One writer at a time, over all CLI calls on the machine: a Unix socket in the abstract namespace.
 * The kernel frees it when its holder dies, however that happens, and it leaves no file behind. Who waits is
 * connected to the holder, and tries again when that connection ends.
 */
function addressOf(place: Place): string {
  return `\0${place.name}/lab-lock`;
}

/** Nothing holds the lock while it waits for a daemon; building the largest network takes some two seconds. */
const deadlineMs = 30_000;

function tryToListen(server: Server, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(address, () => resolve(true));
  });
}

function untilHolderLeaves(address: string, patienceMs: number): Promise<void> {
  return new Promise(resolve => {
    const socket = connect(address);
    const timer = setTimeout(() => socket.destroy(), patienceMs);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

/** Runs `work` while no other process works on the same lab. @throws LabError when the lock stays taken for 30 s */
export async function withLabLock<T>(place: Place, work: () => Promise<T>): Promise<T> {
  const address = addressOf(place);
  const waiting = new Set<Socket>();
  const deadline = Date.now() + deadlineMs;
  let server: Server;
  for (;;) {
    server = createServer(socket => {
      waiting.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => waiting.delete(socket));
    });
    if (await tryToListen(server, address)) break;
    const patienceMs = deadline - Date.now();
    if (patienceMs <= 0) {
      throw new LabError(
        'unhealthy',
        `another resplice command has been changing the lab for ${deadlineMs / 1000} s`,
      );
    }
    await untilHolderLeaves(address, patienceMs);
  }
  try {
    return await work();
  } finally {
    const closed = new Promise(resolve => server.close(resolve));
    for (const socket of waiting) socket.destroy();
    await closed;
  }
}
