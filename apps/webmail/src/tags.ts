// What the back-end kit and the logger are told of our routes (P6.5); `resplice.yaml` says the same.

/**
 * Everything that is posted. Its answer depends on what the database held at that instant, and on who was logged in, and it is
 * short: so the answer itself is kept, not the state that made it (P9.2).
 */
export const update = { config: { txn: { kind: 'update', journal: 'response' } } } as const;

/** A page with chance in it, which is the same at another back end because it comes from the request's name. */
export const named = { config: { txn: { kind: 'read' } } } as const;
