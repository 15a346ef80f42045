import type { Site } from '@resplice/site-config';

/**
 * What a lab follows without a file: one listener, and a pool of all back ends. Written out, since whoever only makes a fault shall
 * not load a schema for it; a test compares it with what the schema makes of the smallest file.
 */
export const plainSite: Site = {
  listeners: [{ name: 'web', port: 80, pool: 'web' }],
  pools: { web: { backends: 'all', balance: 'least-connections' } },
  limits: { headBytes: 65_536, headTimeout: 30_000, connectTimeout: 400, connections: 262_144 },
  timeoutClasses: {},
  recovery: { wait: 5000, requestBytes: 1_048_576, spillBytes: 1_073_741_824 },
};

/** The webmail's: what it serves as files is the same everywhere, and what is posted changes something. Its kit compares. */
export const webmailSite: Site = {
  ...plainSite,
  listeners: [
    {
      name: 'web',
      port: 80,
      routes: [
        { match: { pathPrefix: '/assets' }, tags: { deterministic: true }, pool: 'web' },
        { match: { methods: ['POST'] }, tags: { kind: 'update' }, journal: 'response', pool: 'web' },
        { match: {}, pool: 'web' },
      ],
    },
  ],
};

/** The same for back ends without the kit: nobody keeps a journal there. */
export function withoutJournals(site: Site): Site {
  const listeners = site.listeners.map(listener => {
    const { journal: _, ...kept } = listener;
    if (kept.routes === undefined) return kept;
    return { ...kept, routes: kept.routes.map(({ journal: _journal, ...route }) => route) };
  });
  return { ...site, listeners };
}

/** The demonstration site's: it answers with the same bytes wherever it runs. */
export const demoSite: Site = {
  ...plainSite,
  listeners: [{ name: 'web', port: 80, pool: 'web', tags: { deterministic: true } }],
};
