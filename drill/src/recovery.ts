/** From a fault back to a lab in which nothing is left of it. */
import { waitFor } from '@resplice/e2e/fixtures/wait.ts';
import { LabError } from '@resplice/engines';
import type { Scene } from './scene.ts';

/** So many that each proxy is asked by one of them, most likely. */
const PROBES = 8;
/** For servers to see again that others are well, ms. */
const SERVING_MS = 30_000;

/** Returns when every new connection is served: a server in the proxies' place may take longer than `heal` to see its back ends. */
async function serving({ lab, client, site }: Scene): Promise<void> {
  const { address: host, port } = lab.facts.vip;
  const probe = async (): Promise<boolean> => {
    const connection = await client.connect({ host, port });
    try {
      return (await site.ask(connection)).status === 200;
    } finally {
      await connection.close().catch(() => {});
    }
  };
  await waitFor('every new connection to be served', SERVING_MS, async () => {
    const served = await Promise.all(Array.from({ length: PROBES }, probe));
    return served.every(Boolean);
  });
}

/**
 * Heals the lab, waits until it serves everybody, and hears all that has happened.
 *
 * @returns why it had to be made anew instead; null: it had not
 * @throws LabError unhealthy when the lab is not ours to make anew
 */
export async function recover(scene: Scene): Promise<string | null> {
  const { lab, witness } = scene;
  try {
    await lab.heal();
    await serving(scene);
    await witness?.settled();
    return null;
  } catch (error) {
    if (error instanceof LabError && error.code !== 'unhealthy') throw error;
    await lab.renew(error as Error);
    return `the lab did not recover from this fault, and was made anew: ${(error as Error).message}`;
  }
}
