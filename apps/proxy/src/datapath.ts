import { fileURLToPath } from 'node:url';
import { BpfMap, Counters, loadObject, mapMemory, parseIp, RingBuffer, u32 } from '@resplice/dataplane';
import { writeListeners } from '@resplice/service-kit';
import type { ProxyConfig } from './config.ts';
import { CookieClock } from './cookie-clock.ts';
import type { ReplyEvent, SegmentEvent } from './layout.generated.ts';
import * as layout from './layout.generated.ts';
import { networkOrder, StrayAllowance } from './stray-allowance.ts';

const OBJECT = fileURLToPath(new URL('../bpf/proxy.bpf.o', import.meta.url));

export interface DatapathEvents {
  /** @param payload a view into the ring, valid only during the call */
  segment(event: SegmentEvent, payload: Uint8Array): void;
  close(event: SegmentEvent): void;
  reply(event: ReplyEvent): void;
}

/**
 * The kernel half: maps and programs of proxy.bpf.c, as they are pinned. A daemon that starts over finds the maps as they were,
 * so the splices of its predecessor flow on.
 */
export function openDatapath(config: ProxyConfig, key: Uint8Array, mss: number) {
  const object = loadObject(OBJECT, {
    pinDirectory: config.pinDirectory,
    maxEntries: { splices: config.maxConnections },
    state: ['splices', 'listeners'],
  });
  const counters = new Counters(object.map('counters'), layout.proxyExitNames);
  const splices = new BpfMap(object.map('splices'), layout.connection, layout.splice);
  const backends = new BpfMap(object.map('backends'), u32, u32);
  const ring = new RingBuffer(object.map('events'));

  const memory = new DataView(mapMemory(object.map('proxy_config')));
  const clock = new CookieClock(memory, key);
  layout.proxyConfig.write(memory, 0, {
    clock: clock.value(),
    address: parseIp(config.middle.address),
    mss,
  });
  clock.start();
  writeListeners(object, layout.listenerKey, config.listeners);
  for (const backend of config.backends) backends.set(networkOrder(parseIp(backend.address)), backend.id);

  return {
    counters,
    splices,
    strays: new StrayAllowance(object),
    front: object.program('proxy_front'),
    back: object.program('proxy_back'),
    /** Announces that largest segment (bytes) to clients from now on. */
    setSegmentSize(bytes: number): void {
      memory.setUint16(layout.proxyConfigOffsets.mss, bytes, true);
    },
    /** Opens these listeners, and lets the others close. */
    setListeners(listeners: ProxyConfig['listeners']): void {
      writeListeners(object, layout.listenerKey, listeners);
    },
    /** Starts to hand events to `events`, those that wait already too. */
    listen(events: DatapathEvents): void {
      const deliver = (view: DataView, offset: number) => {
        const type = view.getUint32(offset, true);
        if (type === layout.EventType.EVENT_REPLY) {
          events.reply(layout.replyEvent.read(view, offset));
          return;
        }
        const event = layout.segmentEvent.read(view, offset);
        if (type === layout.EventType.EVENT_CLOSE) events.close(event);
        else
          events.segment(
            event,
            new Uint8Array(view.buffer, view.byteOffset + offset + layout.segmentEvent.size, event.captured),
          );
      };
      // Bounded, so that control records and timers get their turn while a flood goes on.
      ring.onReadable(() => ring.drain(deliver, 1024));
    },
    close(): void {
      clock.stop();
      ring.close();
      object.close();
    },
  };
}

export type Datapath = ReturnType<typeof openDatapath>;
