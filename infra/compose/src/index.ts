export { composeFile, composeText } from './compose-file.ts';
export { type Deployment, topologyFor, usualDeployment } from './deployment.ts';
export { ComposeEngine } from './engine/compose-engine.ts';
export { makeKeys } from './keys.ts';
export { planFor } from './plan.ts';
