const stopping = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work` with a signal that aborts at the first Ctrl-C, kill, or loss of the terminal. */
export async function withStopSignal<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const name of stopping) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of stopping) process.off(name, stop);
  }
}
