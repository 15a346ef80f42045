import { request } from 'node:http';

export interface AdminAnswer {
  readonly code: number;
  readonly body: unknown;
}

/** GET from a daemon's admin server; Unix sockets do not mind network namespaces. @throws when nobody answers in time */
export function adminGet(socketPath: string, path: string, timeoutMs: number): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      response => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          try {
            resolve({ code: response.statusCode ?? 0, body: JSON.parse(text) });
          } catch (cause) {
            reject(new Error(`${path} is no JSON`, { cause }));
          }
        });
      },
    );
    call.on('error', reject);
    call.end();
  });
}
