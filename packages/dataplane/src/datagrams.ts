/**
 * UDP for daemons that exchange thousands of small datagrams a second (udp(7), recvmmsg(2)). `node:dgram` allocates 64 KiB for each
 * one that comes, and resolves the address of each one that goes.
 */
import koffi from 'koffi';
import { DataplaneError, Errno, errnoName } from './errors.ts';
import { addressOf } from './kernel.ts';
import { bind, close, getsockname, lastErrno, recvmmsg, sendto, setsockopt, socket } from './libc.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_TRUNC = 0x20;

/** Datagrams in one system call. */
const BATCH = 32;
/** Bytes of the longest datagram that is taken; nobody here sends more than an Ethernet frame holds. */
export const MAX_DATAGRAM = 2048;
/** Datagrams taken in one turn of the event loop: a flood must not keep it for ever. */
const MAX_DRAIN = 1024;
/** `struct iovec`, `struct sockaddr_in`, `struct mmsghdr` on 64-bit machines. */
const IOVEC = 16;
const SOCKADDR = 16;
const MMSGHDR = 64;
/** Offsets in `struct mmsghdr`. */
const NAME_LENGTH = 8;
const FLAGS = 48;
const RECEIVED = 56;

/** @param bytes valid during the call only @param address of the sender, host order */
export type DatagramCallback = (bytes: Uint8Array, address: number, port: number) => void;

export interface DatagramOptions {
  /** Host order; 0 for any. */
  readonly address: number;
  /** 0: the kernel picks one. */
  readonly port: number;
  /** Bytes that the kernel keeps for a reader that is behind. */
  readonly receiveBuffer?: number;
}

type PollHandle = ReturnType<typeof koffi.node.poll>;

/** Poll handles stop when they are collected, so somebody must hold them. */
const polls = new Set<PollHandle>();

function writeAddress(view: DataView, at: number, address: number, port: number): void {
  view.setUint16(at, AF_INET, true);
  view.setUint16(at + 2, port, false);
  view.setUint32(at + 4, address, false);
}

/** A bound UDP socket in the network namespace of the thread that makes it. */
export class DatagramSocket {
  readonly port: number;
  readonly #fd: number;
  readonly #bytes = new Uint8Array(new ArrayBuffer(BATCH * MAX_DATAGRAM));
  readonly #iovecs = new DataView(new ArrayBuffer(BATCH * IOVEC));
  readonly #senders = new DataView(new ArrayBuffer(BATCH * SOCKADDR));
  readonly #messages = new DataView(new ArrayBuffer(BATCH * MMSGHDR));
  readonly #receiver = new DataView(new ArrayBuffer(SOCKADDR));
  #callback: DatagramCallback | undefined;
  #poll: PollHandle | undefined;
  #open = true;

  /** @throws DataplaneError, e.g. EADDRINUSE */
  constructor({ address, port, receiveBuffer }: DatagramOptions) {
    this.#fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw new DataplaneError('cannot open a UDP socket', lastErrno());
    if (receiveBuffer !== undefined) {
      const size = new Uint8Array(new Int32Array([receiveBuffer]).buffer);
      // Needs CAP_NET_ADMIN; without, the usual buffer must do.
      setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.length);
    }
    writeAddress(this.#receiver, 0, address, port);
    if (bind(this.#fd, this.#receiver.buffer as ArrayBuffer, SOCKADDR) !== 0) {
      const errno = lastErrno();
      close(this.#fd);
      throw new DataplaneError(`cannot bind UDP port ${port}`, errno, '');
    }
    this.port = this.#boundPort();
    this.#linkBuffers();
  }

  /**
   * Hands every datagram that comes to `callback`, and keeps the process alive.
   * @throws Error if somebody listens already
   */
  onDatagram(callback: DatagramCallback): void {
    if (this.#callback) throw new Error('somebody listens to this socket already');
    this.#callback = callback;
    let scheduled = false;
    // As for the ring buffer: JavaScript runs properly in an immediate only, which comes in the same turn of the event loop.
    const poll = koffi.node.poll(this.#fd, { readable: true }, (() => {
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        this.drain();
      });
    }) as () => void);
    this.#poll = poll;
    polls.add(poll);
  }

  /** Takes in what has come, before its turn. */
  drain(): void {
    const callback = this.#callback;
    if (!callback) return;
    for (let taken = 0; taken < MAX_DRAIN && this.#open; ) {
      const count = recvmmsg(this.#fd, this.#messages.buffer as ArrayBuffer, BATCH, 0, null);
      // EAGAIN: that was all. Other errors are earlier datagrams' that went nowhere; there is nothing to do about them.
      if (count <= 0) return;
      for (let i = 0; i < count && this.#open; i++) this.#deliver(i, callback);
      taken += count;
      if (count < BATCH) return;
    }
  }

  /**
   * @param address of the receiver, host order
   * @returns the errno's name if the kernel did not take it: it is lost, as on any network
   */
  send(bytes: Uint8Array, address: number, port: number): string | undefined {
    if (!this.#open) return 'EBADF';
    writeAddress(this.#receiver, 0, address, port);
    for (let attempt = 0; ; attempt++) {
      if (sendto(this.#fd, bytes, bytes.length, 0, this.#receiver.buffer as ArrayBuffer, SOCKADDR) >= 0) {
        return undefined;
      }
      const errno = lastErrno();
      if (errno !== Errno.EINTR || attempt > 0) return errnoName(errno);
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#poll && polls.delete(this.#poll)) this.#poll.close();
    close(this.#fd);
  }

  #deliver(i: number, callback: DatagramCallback): void {
    const at = i * MMSGHDR;
    const length = this.#messages.getUint32(at + RECEIVED, true);
    const truncated = this.#messages.getInt32(at + FLAGS, true) & MSG_TRUNC;
    // The kernel has written the length of the name over; it wants the room's the next time.
    this.#messages.setUint32(at + NAME_LENGTH, SOCKADDR, true);
    // Longer than anything that is sent here: a stranger's.
    if (truncated) return;
    const address = this.#senders.getUint32(i * SOCKADDR + 4, false);
    const port = this.#senders.getUint16(i * SOCKADDR + 2, false);
    callback(this.#bytes.subarray(i * MAX_DATAGRAM, i * MAX_DATAGRAM + length), address, port);
  }

  #boundPort(): number {
    const length = new Uint8Array(new Uint32Array([SOCKADDR]).buffer);
    getsockname(this.#fd, this.#receiver.buffer as ArrayBuffer, length);
    return this.#receiver.getUint16(2, false);
  }

  /** Points every `struct mmsghdr { { msg_name, msg_namelen, msg_iov, msg_iovlen, … }, msg_len }` at its own buffers, once for all. */
  #linkBuffers(): void {
    const [bytes, iovecs, senders] = [this.#bytes, this.#iovecs, this.#senders].map(each =>
      addressOf(each.buffer as ArrayBuffer),
    ) as [bigint, bigint, bigint];
    for (let i = 0; i < BATCH; i++) {
      this.#iovecs.setBigUint64(i * IOVEC, bytes + BigInt(i * MAX_DATAGRAM), true);
      this.#iovecs.setBigUint64(i * IOVEC + 8, BigInt(MAX_DATAGRAM), true);
      this.#messages.setBigUint64(i * MMSGHDR, senders + BigInt(i * SOCKADDR), true);
      this.#messages.setUint32(i * MMSGHDR + NAME_LENGTH, SOCKADDR, true);
      this.#messages.setBigUint64(i * MMSGHDR + 16, iovecs + BigInt(i * IOVEC), true);
      this.#messages.setBigUint64(i * MMSGHDR + 24, 1n, true);
    }
  }
}
