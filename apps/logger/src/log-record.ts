import { logEventOffsets as at, type LogEvent } from './layout.generated.ts';

/**
 * An event of the kernel half, read in place: one object serves all of them, and what is seldom asked for is read when it is. Only
 * valid during the call that brings it.
 */
export class LogRecord implements LogEvent {
  type = 0;
  captured = 0;
  slot = 0;
  generation = 0;
  sequence = 0;
  acknowledgement = 0;
  payload = 0;
  backend = 0;
  backendPort = 0;
  window = 0;
  flags = 0;
  held = 0;
  client = 0;
  clientPort = 0;
  #view: DataView | undefined;
  #offset = 0;

  read(view: DataView, offset: number): void {
    this.#view = view;
    this.#offset = offset;
    this.type = view.getUint32(offset + at.type, true);
    this.captured = view.getUint32(offset + at.captured, true);
    this.slot = view.getUint32(offset + at.slot, true);
    this.generation = view.getUint32(offset + at.generation, true);
    this.sequence = view.getUint32(offset + at.sequence, true);
    this.acknowledgement = view.getUint32(offset + at.acknowledgement, true);
    this.payload = view.getUint32(offset + at.payload, true);
    this.backend = view.getUint32(offset + at.backend, false);
    this.backendPort = view.getUint16(offset + at.backendPort, false);
    this.window = view.getUint16(offset + at.window, true);
    this.flags = view.getUint8(offset + at.flags);
    this.held = view.getUint8(offset + at.held);
    this.client = view.getUint32(offset + at.client, false);
    this.clientPort = view.getUint16(offset + at.clientPort, false);
  }

  get timeNs(): bigint {
    return this.#view?.getBigUint64(this.#offset + at.timeNs, true) ?? 0n;
  }

  get mac(): readonly number[] {
    return Array.from({ length: 6 }, (_, i) => this.#view?.getUint8(this.#offset + at.mac + i) ?? 0);
  }
}
