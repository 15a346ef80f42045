import { readFileSync } from 'node:fs';

/** /proc/stat counts in hundredths of a second on every architecture that we run on (USER_HZ). */
const TICKS_PER_SECOND = 100;

/**
 * CPU seconds that the whole machine has worked since it was booted, all cores together (proc(5)): user, nice, system, irq and
 * softirq. Neither idle, nor waiting for a disk, nor stolen by the hypervisor.
 */
export function busySeconds(stat = readFileSync('/proc/stat', 'utf8')): number {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]?.split(' ').map(Number);
  if (!fields || fields.length < 7) throw new Error('/proc/stat has no line for all CPUs');
  const [user, nice, system, , , irq, softirq] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/**
 * How much the machine works while some work is done. Below zero if it was busier before: then it was not quiet.
 * @param idleRate what it does anyway, CPU seconds a second
 */
export async function withProcessorTime<T>(
  idleRate: number,
  work: () => Promise<T>,
): Promise<{ result: T; cpuSeconds: number; seconds: number }> {
  const [busy, start] = [busySeconds(), performance.now()];
  const result = await work();
  const seconds = (performance.now() - start) / 1000;
  return { result, seconds, cpuSeconds: busySeconds() - busy - idleRate * seconds };
}
