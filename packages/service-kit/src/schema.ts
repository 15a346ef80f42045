// Pieces that every daemon's configuration schema is made of. Objects are strict: a misspelt optional field must
// not silently mean its default.

import { z } from 'zod';

export const ipAddress = z.ipv4({ error: 'must be an IPv4 address such as 10.62.0.11' });

export const port = z.int().min(1).max(65535);

/** A process's or host's id in sealed datagrams: u16, unique in the cluster. */
export const id = z.int().min(1).max(65535);

/** A network device; Linux allows 15 characters, no slash or white space. */
export const deviceName = z
  .string()
  .regex(/^[^\s/]{1,15}$/, 'must be a network device of at most 15 characters, such as front0');

export const componentName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,62}$/,
    'must be a name of lower-case letters, digits and dashes, such as proxy-1',
  );

export const absolutePath = z.string().regex(/^\//, 'must be an absolute path');

export const device = z.strictObject({ device: deviceName });
export const addressedDevice = z.strictObject({ device: deviceName, address: ipAddress });
export const vip = z.strictObject({ address: ipAddress, port });
export const peer = z.strictObject({ name: componentName, id, address: ipAddress });

/** How liveness is probed. Dead after `misses` rounds in a row without an answer. */
export const probe = z.strictObject({
  intervalMs: z.int().min(5).max(10_000).default(20),
  misses: z.int().min(1).max(100).default(3),
});

/** Refuses a list in which two items share one of the fields: `proxies[1].id: is also that of proxies[0]`. */
export function distinct<T extends z.ZodType<Record<string, unknown>>>(item: T, ...fields: string[]) {
  return z.array(item).superRefine((items, context) => {
    for (const field of fields) {
      const first = new Map<unknown, number>();
      for (const [index, value] of items.entries()) {
        const before = first.get(value[field]);
        if (before === undefined) first.set(value[field], index);
        else {
          context.addIssue({
            code: 'custom',
            path: [index, field],
            message: `is also that of item ${before}`,
          });
        }
      }
    }
  });
}

/** At least one VIP and port, none twice. The kernel halves keep twice as many, since removed ones close slowly. */
export const vips = z
  .array(vip)
  .min(1)
  .max(100)
  .superRefine((items, context) => {
    const seen = new Set<string>();
    for (const [index, { address, port: number }] of items.entries()) {
      const key = `${address}:${number}`;
      if (seen.has(key))
        context.addIssue({ code: 'custom', path: [index], message: `${key} is listed twice` });
      seen.add(key);
    }
  });

const admin = z.strictObject({
  /** Unix socket of the admin server; a stale one is replaced. */
  socket: absolutePath.max(107, 'must have at most 107 characters, the kernel takes no longer socket path'),
  address: ipAddress.optional(),
  port: port.optional(),
});

/** The part that every daemon has; spread into its own schema: `z.strictObject({ ...daemonFields, … })`. */
export const daemonFields = {
  name: componentName,
  id,
  /** File with the cluster key: 64 hex digits and a newline, mode 0600. */
  keyFile: absolutePath,
  /** Directory on a bpffs; BPF maps and programs stay pinned there when the daemon exits. */
  pinDirectory: absolutePath,
  admin,
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
};

export const daemonConfig = z.strictObject(daemonFields);

export type DaemonConfig = z.infer<typeof daemonConfig>;
export type PeerConfig = z.infer<typeof peer>;
export type ProbeConfig = z.infer<typeof probe>;
