import { compileTreatments, type Listener, type Site, type Treatment } from '@resplice/site-config';
import { RequestHead } from './http/request-head.ts';

/** What may be done with requests, by the listener that they came to (P6.2, P6.5). */
export class Treatments {
  #byPort = new Map<number, ReturnType<typeof compileTreatments>>();

  constructor(listeners: readonly Listener[], classes: Site['timeoutClasses']) {
    this.replace(listeners, classes);
  }

  /** From the next request on. */
  replace(listeners: readonly Listener[], classes: Site['timeoutClasses']): void {
    // A listener that was removed is as it was for the connections that it still has.
    for (const listener of listeners) this.#byPort.set(listener.port, compileTreatments(listener, classes));
  }

  /** Whether any application says that it keeps a journal. */
  static keepJournals(listeners: readonly Listener[]): boolean {
    const places = listeners.flatMap(listener => [listener, ...(listener.routes ?? [])]);
    return places.some(({ journal = 'none' }) => journal !== 'none');
  }

  /** @param port of the VIP */
  of(port: number, head: RequestHead): Treatment {
    const treatment = this.#byPort.get(port);
    if (!treatment) throw new Error(`no listener has port ${port}`);
    routable.of = head;
    return treatment(routable);
  }
}

/**
 * The head that is looked at, as it is routed. Most listeners look at nothing but the method: the rest is made when it is read. One
 * for all, since an object with getters of its own for each request took a tenth of the logger's time.
 */
const routable = {
  of: new RequestHead(),
  get method() {
    return this.of.method;
  },
  get target() {
    return this.of.target;
  },
  get version() {
    return this.of.minor === 0 ? '1.0' : '1.1';
  },
  get fields() {
    return this.of.fields();
  },
};
