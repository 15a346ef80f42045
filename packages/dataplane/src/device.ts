import { DataplaneError } from './errors.ts';
import { ifNameToIndex, lastErrno } from './libc.ts';

/**
 * The number of a network device in the calling thread's network namespace.
 *
 * @throws DataplaneError if there is no such device
 */
export function ifindex(device: string): number {
  const index = ifNameToIndex(device);
  if (index === 0)
    throw new DataplaneError(`no network device '${device}' in this network namespace`, lastErrno());
  return index;
}
