/** Waits for a condition by polling it; throws with the wait's name when the deadline passes. */
export async function until(
  name: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 5000,
): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain: ${name}`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
  return performance.now() - start;
}
