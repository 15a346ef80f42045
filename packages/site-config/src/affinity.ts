// Session affinity: which back end a session's cookie leads to. No state, so all proxies agree by themselves.

import { cookieValue } from './cookie.ts';

/**
 * What a session is recognised by: the value of the pool's affinity cookie.
 *
 * @param header the Cookie field's value; bytes are taken as Latin-1
 * @returns `undefined` if there is no such cookie or it is empty: the connection goes wherever there is least to do
 */
export function affinityKey(header: string | Uint8Array | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  const text = typeof header === 'string' ? header : latin1(header);
  return cookieValue(text, name) || undefined;
}

/**
 * Rendezvous hashing: the back end with the highest score for this key. When one goes only its keys move, and they
 * spread over all others; when one comes it takes its share from each.
 *
 * @param backendIds those that may be chosen now, u16, in any order
 * @returns `undefined` if there is none
 */
export function rendezvous(key: string, backendIds: readonly number[]): number | undefined {
  const seed = hashText(key);
  let best: number | undefined;
  let highest = -1;
  for (const id of backendIds) {
    const score = fmix32(seed ^ Math.imul(id, 0x9e3779b1));
    // Two ids never score alike: to multiply by an odd number, to xor and to mix are bijections.
    if (score > highest) {
      highest = score;
      best = id;
    }
  }
  return best;
}

/**
 * The back end that the key names itself: the whole value or what follows its last dot, as in Tomcat's
 * `JSESSIONID=5A7….backend-2` (`jvmRoute`). This is how an application that keeps sessions in its own memory says
 * where one lives; it knows its name from `BACKEND_ID`.
 */
export function namedBackend(key: string, names: readonly string[]): string | undefined {
  const name = key.slice(key.lastIndexOf('.') + 1);
  return names.includes(name) ? name : undefined;
}

/** FNV-1a over UTF-16 units, then mixed. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return fmix32(hash);
}

/** MurmurHash3's finaliser: every input bit changes half of the output bits. */
function fmix32(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Of these back ends the one that the session names, else the one that all who ask agree on without a word. */
export function bySession<T extends { readonly id: number; readonly name: string }>(
  session: string,
  candidates: readonly T[],
): T | undefined {
  const named = namedBackend(
    session,
    candidates.map(({ name }) => name),
  );
  if (named !== undefined) return candidates.find(({ name }) => name === named);
  const id = rendezvous(
    session,
    candidates.map(candidate => candidate.id),
  );
  return candidates.find(candidate => candidate.id === id);
}
