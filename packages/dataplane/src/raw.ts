/** Whole IPv4 packets, sent as they are: a raw socket with IP_HDRINCL, in batches (raw(7), sendmmsg(2)). */
import { DataplaneError, Errno, errnoName } from './errors.ts';
import { addressOf } from './kernel.ts';
import { close, lastErrno, sendmmsg, setsockopt, socket } from './libc.ts';

const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_RAW = 255;
const IP_HDRINCL = 3;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SEND_BUFFER = 8 << 20;

/** Packets in one system call. */
const BATCH = 64;
const MIN_PACKET = 20;
const MAX_PACKET = 65535;
/** Room for 64 full Ethernet packets, or for a few of the largest. */
const ARENA = 256 << 10;
/** `struct iovec`, `struct sockaddr_in`, `struct mmsghdr` on 64-bit machines. */
const IOVEC = 16;
const SOCKADDR = 16;
const MMSGHDR = 64;

/**
 * Sends from the network namespace of the thread that makes it, by that namespace's routes.
 *
 * The kernel fills in the IP header's checksum, and its identification if that is zero (RFC 6864 allows that with "don't
 * fragment"). A packet larger than the route's MTU is refused (EMSGSIZE).
 */
export class RawSender {
  /** Packets that the kernel took, ever. */
  sent = 0;
  readonly #fd: number;
  readonly #arena = new Uint8Array(new ArrayBuffer(ARENA));
  readonly #arenaAddress = addressOf(this.#arena.buffer);
  readonly #iovecs = new DataView(new ArrayBuffer(BATCH * IOVEC));
  readonly #addresses = new DataView(new ArrayBuffer(BATCH * SOCKADDR));
  readonly #messages = new Uint8Array(new ArrayBuffer(BATCH * MMSGHDR));
  readonly #errors: Record<string, number> = {};
  #queued = 0;
  #used = 0;
  #open = true;

  /** @throws DataplaneError, e.g. EPERM without CAP_NET_RAW */
  constructor() {
    this.#fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
    if (this.#fd < 0) throw new DataplaneError('cannot open a raw socket', lastErrno());
    this.#set(IPPROTO_IP, IP_HDRINCL, 1, 'IP_HDRINCL');
    this.#set(SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER, 'SO_SNDBUFFORCE');
    this.#linkBuffers();
  }

  /** How often sending failed, by the errno's name; such packets are lost, as on any network. */
  get errors(): Readonly<Record<string, number>> {
    return this.#errors;
  }

  /**
   * Copies a packet, so that `packet` may be used again at once. Sends the queue when it is full.
   *
   * @param packet begins with its IP header; the destination is taken from there
   * @param length bytes of `packet` that count; all of them if absent
   * @throws RangeError if that cannot be an IPv4 packet
   */
  queue(packet: Uint8Array, length = packet.length): void {
    if (length < MIN_PACKET || length > MAX_PACKET || length > packet.length) {
      throw new RangeError(`${length} bytes of ${packet.length} are not an IPv4 packet`);
    }
    if (this.#queued === BATCH || this.#used + length > ARENA) this.flush();
    const at = this.#queued++;
    this.#arena.set(length === packet.length ? packet : packet.subarray(0, length), this.#used);
    this.#iovecs.setBigUint64(at * IOVEC, this.#arenaAddress + BigInt(this.#used), true);
    this.#iovecs.setUint32(at * IOVEC + 8, length, true);
    for (let i = 0; i < 4; i++) this.#addresses.setUint8(at * SOCKADDR + 4 + i, packet[16 + i] as number);
    this.#used += length;
  }

  /**
   * Sends what is queued. Errors of single packets are counted, not thrown.
   *
   * @returns how many packets the kernel took
   */
  flush(): number {
    if (!this.#open) throw new Error('the raw sender is closed');
    let next = 0;
    let taken = 0;
    let retried = false;
    while (next < this.#queued) {
      const result = sendmmsg(
        this.#fd,
        next === 0 ? this.#messages : this.#messages.subarray(next * MMSGHDR),
        this.#queued - next,
        0,
      );
      if (result > 0) {
        next += result;
        taken += result;
        retried = false;
        continue;
      }
      const errno = lastErrno();
      if ((errno === Errno.EAGAIN || errno === Errno.EINTR) && !retried) {
        retried = true;
        continue;
      }
      // The first packet of this call failed; the ones behind it get their own chance.
      const name = errnoName(errno);
      this.#errors[name] = (this.#errors[name] ?? 0) + 1;
      next++;
      retried = false;
    }
    this.#queued = 0;
    this.#used = 0;
    this.sent += taken;
    return taken;
  }

  /** What is still queued is dropped. */
  close(): void {
    if (this.#open) close(this.#fd);
    this.#open = false;
  }

  /**
   * Points every `struct mmsghdr { { msg_name, msg_namelen, msg_iov, msg_iovlen, … }, msg_len }` at its own address and
   * its own piece of the arena, once for all.
   */
  #linkBuffers(): void {
    const messages = new DataView(this.#messages.buffer);
    const addresses = addressOf(this.#addresses.buffer);
    const iovecs = addressOf(this.#iovecs.buffer);
    for (let i = 0; i < BATCH; i++) {
      this.#addresses.setUint16(i * SOCKADDR, AF_INET, true);
      messages.setBigUint64(i * MMSGHDR, addresses + BigInt(i * SOCKADDR), true);
      messages.setUint32(i * MMSGHDR + 8, SOCKADDR, true);
      messages.setBigUint64(i * MMSGHDR + 16, iovecs + BigInt(i * IOVEC), true);
      messages.setBigUint64(i * MMSGHDR + 24, 1n, true);
    }
  }

  #set(level: number, option: number, value: number, name: string): void {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    if (setsockopt(this.#fd, level, option, bytes, bytes.length) === 0) return;
    const errno = lastErrno();
    close(this.#fd);
    throw new DataplaneError(`cannot set ${name} on a raw socket`, errno);
  }
}
