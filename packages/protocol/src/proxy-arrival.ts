// Reading the PROXY header off a connection that has just come in.

import type { Readable } from 'node:stream';
import {
  decodeProxyHeader,
  PROXY_PREFIX_BYTES,
  type ProxyHeader,
  ProxyHeaderError,
  proxyHeaderLength,
} from './proxy-header.ts';

/**
 * Takes the header and not a byte more: what follows stays in the stream, which must not be flowing yet, and is left paused.
 * @param deadlineMs a sender that has not sent the whole of it by then is refused
 * @throws ProxyHeaderError, also when the stream ends or fails before
 */
export function readProxyHeader(stream: Readable, deadlineMs: number): Promise<ProxyHeader> {
  return new Promise((resolve, reject) => {
    let prefix: Buffer | undefined;
    const timer = setTimeout(() => fail('not there in time'), deadlineMs);
    const leave = (): void => {
      clearTimeout(timer);
      stream.off('readable', look).off('end', onEnd).off('close', onEnd).off('error', onEnd);
    };
    const fail = (why: string | ProxyHeaderError): void => {
      leave();
      reject(typeof why === 'string' ? new ProxyHeaderError(why) : why);
    };
    const onEnd = (): void => fail('not there: the sender ended before');
    const look = (): void => {
      try {
        prefix ??= stream.read(PROXY_PREFIX_BYTES) ?? undefined;
        if (prefix === undefined) return;
        if (prefix.length < PROXY_PREFIX_BYTES) {
          onEnd();
          return;
        }
        const length = proxyHeaderLength(prefix)! - PROXY_PREFIX_BYTES;
        const rest: Buffer | null = length === 0 ? Buffer.alloc(0) : stream.read(length);
        if (rest === null) return;
        const header = decodeProxyHeader(Buffer.concat([prefix, rest]));
        leave();
        resolve(header);
      } catch (error) {
        if (!(error instanceof ProxyHeaderError)) throw error;
        fail(error);
      }
    };
    stream.on('readable', look).on('end', onEnd).on('close', onEnd).on('error', onEnd);
    look();
  });
}
