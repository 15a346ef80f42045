// Where things are inside every container. What must outlive one is a volume.

/** Writable, and gone with the container: configurations, sockets, marks. */
export const runDirectory = '/run/resplice';

/** A BPF file system of the component's own. */
export const pinDirectory = '/run/bpf';

/** Of what must outlive a container: the database's cluster, the auxiliary logger's log. */
export const dataDirectory = '/var/lib/resplice';

/** Each bundle of keys is a volume, and a container sees only those of its own. */
export const keyDirectory = '/run/keys';

/** What the deployment is now: one container writes it, all others read it. */
export const deploymentDirectory = '/run/deployment';

/** Exists while every interface is plugged in and every route stands. */
export const pluggedFile = `${runDirectory}/plugged`;

/** The admin socket of the container's daemon; there is one daemon a container. */
export const adminSocket = `${runDirectory}/daemon.sock`;

export function configFileOf(process: string): string {
  return `${runDirectory}/${process}.json`;
}
