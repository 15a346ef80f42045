import { absolutePath, daemonFields, ipAddress, port } from '@resplice/service-kit';
import { z } from 'zod';

/** What becomes part of a statement, and of a path. */
const identifier = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be a lower-case name such as mail');

export const postgresConfig = z.strictObject({
  ...daemonFields,
  listen: z.strictObject({ address: ipAddress, port }),
  /** Of its data and its Unix socket; kept when the daemon goes. */
  directory: absolutePath.max(80, 'must have at most 80 characters: a socket is in it'),
  /** Made with the cluster. */
  database: identifier,
  /** The database's owner, made with the cluster; its password is {@link passwordOf} the key. */
  role: identifier,
  /** Networks whose clients may ask, with that password. */
  admits: z.array(z.cidrv4('must be an IPv4 network such as 10.65.0.0/24')),
});

export type PostgresConfig = z.infer<typeof postgresConfig>;
