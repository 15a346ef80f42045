/** A thread in a back end's place: follows what its site tells of each request, and asks for a sign of life. */
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { parentPort, workerData } from 'node:worker_threads';
import { enterNetworkNamespace } from '@resplice/e2e/fixtures/network-namespace.ts';

export type Order = { readonly follow: true } | { readonly call: string };
export type Told =
  /** A line of the site's. */
  | { readonly line: string }
  /** It tells no more, or could not be asked. */
  | { readonly ended: string };

const { namespace, port } = workerData as { namespace: string; port: number };
enterNetworkNamespace(namespace);

const parent = parentPort!;
const tell = (told: Told): void => parent.postMessage(told);
const site = { host: '127.0.0.1', port };

function follow(): void {
  const asked = request({ ...site, path: '/events' }, response => {
    const lines = createInterface({ input: response });
    lines.on('line', line => tell({ line }));
    response.once('close', () => tell({ ended: 'the site has closed the connection' }));
    // What there is to say of it the end says.
    response.on('error', () => {});
    lines.on('error', () => {});
  });
  asked.once('error', error => tell({ ended: error.message }));
  asked.end();
}

/** What comes of it is seen by who follows. */
function call(token: string): void {
  const asked = request({ ...site, path: '/healthz', headers: { 'X-Request-Token': token } });
  asked.on('response', response => response.resume());
  asked.on('error', () => {});
  asked.end();
}

parent.on('message', (order: Order) => ('call' in order ? call(order.call) : follow()));
