// For tests of applications that use the kit: back ends in one process, an agent that knows what it is told.

export { FakeAgent, type FakeIdentity } from './fake-agent.ts';
export { Answer, RawClient } from './raw-client.ts';
export { type Build, type Define, type Node, Tier } from './tier.ts';
