import { type Engine, type EngineName, labPlace, NetnsEngine } from '@resplice/engines';
import { readLabState } from '@resplice/engines/lab';

export const engineNames = ['netns', 'compose'] as const satisfies readonly EngineName[];

export async function engineNamed(name: EngineName): Promise<Engine> {
  if (name === 'netns') return new NetnsEngine();
  // Only who asks for containers waits for what they need.
  const { ComposeEngine } = await import('@resplice/compose');
  return new ComposeEngine();
}

/** The engine of the lab that is there; without one, the usual. */
export function presentEngine(): Promise<Engine> {
  return engineNamed(readLabState(labPlace)?.engine ?? 'netns');
}
