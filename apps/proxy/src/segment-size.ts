import { mtuOf } from '@resplice/dataplane';

/** IP and TCP headers without options. */
const HEADERS = 40;
/** No link is narrower (RFC 791 §3.2: every host takes 576 bytes). */
const LEAST_MTU = 576;

/**
 * The largest segment that both sides of a connection may send through this proxy: announced to clients, and a bound for what back
 * ends are told of a client. The tier's routers cannot say "fragmentation needed" in the VIP's name to anybody.
 */
export class SegmentSize {
  readonly #devices: readonly string[];
  readonly #mtu: number;
  /** Payload bytes. */
  bytes: number;

  /** @param mtu of the narrowest link that this host has no device on */
  constructor(devices: readonly string[], mtu: number) {
    this.#devices = devices;
    this.#mtu = mtu;
    this.bytes = mtu - HEADERS;
  }

  /**
   * Looks at the devices.
   *
   * @returns whether it has changed
   * @throws DataplaneError while a device is missing; the size stays then
   */
  look(): boolean {
    const before = this.bytes;
    const mtu = Math.min(this.#mtu, ...this.#devices.map(device => mtuOf(device)));
    this.bytes = Math.max(mtu, LEAST_MTU) - HEADERS;
    return this.bytes !== before;
  }
}
