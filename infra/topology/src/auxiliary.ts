// What the webmail's back ends need behind them: their logger's place, the SMTP server, the database (P4.5).

import type { Arm } from './arm.ts';
import type { Host, Route, SiteProcess } from './host.ts';
import { hostWith } from './make-host.ts';
import { addressIn, networks } from './network.ts';

/** TCP ports. */
export const auxiliaryPorts = { smtp: 2525, database: 5432 } as const;

/** The database, and whose it is: the mail programs' one role. */
export const mailDatabase = { name: 'mail', role: 'mail' } as const;

const addresses = {
  /** Of the way from the back ends, at both ends of it. */
  way: { back: addressIn('back', 2), aux: addressIn('aux', 1) },
  smtp: addressIn('aux', 21),
  database: addressIn('aux', 31),
} as const;

/** From the back ends. */
export const wayToTheAuxiliaries: Route = { destination: networks.aux.subnet, via: addresses.way.back };

const wayBack: Route = { destination: 'default', via: addresses.way.aux };

const databaseUrl = `postgres://${mailDatabase.role}@${addresses.database}:${auxiliaryPorts.database}/${mailDatabase.name}`;

/**
 * What the webmail is told beside its port and name. With its kit it says to the logger in whose name a dialogue is; without, in our own
 * arm, it keeps sessions as the kit does, in memory: then the two differ in nothing but the kit.
 */
export function webmailEnvironment(
  arm: Arm,
  kit: boolean,
): Required<Pick<SiteProcess, 'environment' | 'secrets'>> {
  return {
    environment: {
      DATABASE_URL: databaseUrl,
      SMTP_SERVER: `${kit ? addresses.way.back : addresses.smtp}:${auxiliaryPorts.smtp}`,
      ...(arm === 'resplice' && !kit ? { SESSIONS: 'memory' } : {}),
    },
    secrets: { PGPASSWORD: 'database', DELEGATION_KEY: 'delegation', SESSION_SECRET: 'sessions' },
  };
}

/** Between back ends and auxiliary servers: forwards what goes to the database, and relays dialogues where it is ours. */
function way(arm: Arm): Host {
  const ends = [
    ['back', 2],
    ['aux', 1],
  ] as const;
  // In the other arms nothing of ours may be in the path, by name too.
  return arm === 'resplice'
    ? hostWith('auxlogger', 1, ends, [], [{ kind: 'daemon', name: 'auxlogger', app: 'logger' }])
    : hostWith('router', 2, ends, [], []);
}

function smtp(arm: Arm): Host {
  const environment = {
    SMTP_PORT: String(auxiliaryPorts.smtp),
    DATABASE_URL: databaseUrl,
    ...(arm === 'resplice' ? { SMTP_PROXIES: addresses.way.aux } : {}),
  };
  const secrets = { PGPASSWORD: 'database', DELEGATION_KEY: 'delegation' } as const;
  return hostWith(
    'smtp',
    1,
    [['aux', 21]],
    [wayBack],
    [{ kind: 'service', name: 'smtp', port: auxiliaryPorts.smtp, environment, secrets }],
  );
}

function database(): Host {
  return hostWith('db', 1, [['aux', 31]], [wayBack], [{ kind: 'daemon', name: 'postgres', app: 'postgres' }]);
}

/** The dialogues that the auxiliary logger relays, as its configuration takes them. */
export const relayed = [
  {
    name: 'smtp',
    protocol: 'smtp',
    listen: { address: addresses.way.back, port: auxiliaryPorts.smtp },
    upstream: { host: addresses.smtp, port: auxiliaryPorts.smtp },
  },
] as const;

/** In the order in which they are listed. */
export function auxiliaryHosts(arm: Arm): Host[] {
  return [way(arm), smtp(arm), database()];
}
