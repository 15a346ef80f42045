// What the learning of time-outs can be tuned by. The defaults are chosen by the simulation (docs/DETECTION.md).

/** Bounds of one time-out, ms. A `start` outside of them is the nearer of them. */
export interface Bounds {
  readonly floor: number;
  /** Before anything is learnt. */
  readonly start: number;
  readonly cap: number;
}

/** Of both time-outs of a request (P10.3); a site's time-out classes are of this form. */
export interface TimeoutBounds {
  /** From the request's last byte to the response's first. */
  readonly first: Bounds;
  /** Silence within the response, while it is the server's turn. */
  readonly rest: Bounds;
}

export interface DetectorSettings {
  /** Deviations above the mean (RFC 6298 §2: 4). */
  deviations: number;
  /** How many times the longest of late must have passed; 0: that is not looked at. */
  peakFactor: number;
  /** The longest of the last so many samples, and of at most as many before them, counts. */
  peakSamples: number;
  /** Request classes kept; the least recently used makes room. */
  classes: number;
}

export const DEFAULT_SETTINGS: Readonly<DetectorSettings> = {
  deviations: 4,
  peakFactor: 2,
  peakSamples: 1000,
  classes: 1024,
};

/**
 * With bytes on their way to the client, a server that lives sends them again if nobody acknowledges them. Linux does so after
 * 3 s at the latest, as long as it knows no round-trip time (RFC 6298 §2.1 with tcp_timeout_init after a lost SYN-ACK), then
 * in steps that double, so the next one comes within twice the last gap. Ms.
 */
export const RETRANSMISSION_MS = 4000;
/** Of the longest gap between packets of the server that is known since the client has acknowledged anything. */
export const RETRANSMISSION_GAPS = 4;
/** Twice TCP_RTO_MAX, ms. */
export const RETRANSMISSION_CAP_MS = 240_000;

/** A request whose acknowledgement takes longer was sent again: the shortest time-out is 200 ms (RFC 6298 §5, Linux). Ms. */
export const ACKNOWLEDGEMENT_MS = 200;

/** A sender need not send less than this into a client's window (RFC 9293 §3.8.6.2.1), bytes. */
export const FULL_SEGMENT = 1460;
