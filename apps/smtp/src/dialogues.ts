// smtp-server's connections as they are here: greeted at once, and known by the PROXY header where a logger opens them.

import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { type ProxyHeader, readProxyHeader } from '@resplice/protocol';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';

/** A sender of a PROXY header sends it first and at once, milliseconds. */
const HEADER_MS = 5000;

/**
 * The library waits 100 ms before each greeting, to catch clients that talk before they listen. Ours stands in a network that
 * nobody else is on, and each mail that a user sends would take as much longer.
 */
class PromptConnection extends SMTPConnection {
  override init(): void {
    this._setListeners(() => this.connectionReady());
  }
}

export interface Arrival {
  readonly header: ProxyHeader;
  /** The sender of the header. */
  readonly from: string;
}

export interface DialoguesOptions {
  /** Addresses whose connections must begin with a PROXY header; others' must not. */
  readonly proxies: readonly string[];
  /** A connection from there began with something else. */
  onRefused(address: string, why: string): void;
  /** A connection from there began as it should. */
  onOpened(arrival: Arrival): void;
}

type ConnectOptions = Parameters<SMTPServer['connect']>[1];
type HeaderCallback = Parameters<SMTPServer['_handleProxy']>[1];

export class Dialogues extends SMTPServer {
  readonly #options: DialoguesOptions;
  /** Open connections that began with a PROXY header, by their IDs. */
  readonly #arrivals = new Map<string, Arrival>();

  constructor(options: DialoguesOptions, smtp: SMTPServerOptions) {
    super({ ...smtp, useProxy: [...options.proxies] });
    this.#options = options;
  }

  /** How the session's connection began, if it came from one of the proxies. */
  arrivalOf({ id }: SMTPServerSession): Arrival | undefined {
    return this.#arrivals.get(id);
  }

  override connect(socket: Socket, options?: ConnectOptions): void {
    const connection = new PromptConnection(this, socket, options);
    this.connections.add(connection);
    connection.on('error', error => this._onError(error));
    connection.on('connect', data => this._onClientConnect(data));
    connection.init();
  }

  /** The library reads version 1, which has no room for a transaction ID. */
  override _handleProxy(socket: Socket, callback: HeaderCallback): void {
    if (!this._expectsProxyHeader(socket)) {
      super._handleProxy(socket, callback);
      return;
    }
    const from = socket.remoteAddress ?? 'unknown';
    // Until the connection has listeners of its own.
    const ignore = (): void => {};
    socket.on('error', ignore);
    readProxyHeader(socket, HEADER_MS).then(
      header => {
        const id = randomUUID();
        this.#arrivals.set(id, { header, from });
        socket.once('close', () => this.#arrivals.delete(id));
        this.#options.onOpened({ header, from });
        const client = header.route?.client;
        callback(
          null,
          client === undefined ? { id } : { id, remoteAddress: client.address, remotePort: client.port },
        );
        socket.off('error', ignore);
      },
      (error: Error) => {
        this.#options.onRefused(from, error.message);
        socket.destroy();
        callback(error);
      },
    );
  }
}
