/** Waits for `work`, at most `ms`. True: it is done; false: it goes on, and nobody waits any longer. */
export async function withDeadline(work: unknown, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<boolean>(resolve => {
    timer = setTimeout(resolve, ms, false);
  });
  const done = await Promise.race([Promise.resolve(work).then(() => true), deadline]);
  clearTimeout(timer);
  return done;
}
