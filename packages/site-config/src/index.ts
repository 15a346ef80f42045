export { affinityKey, bySession, namedBackend, rendezvous } from './affinity.ts';
export { type AllowList, compileAllowList } from './allow-list.ts';
export {
  DEFAULT_CLASS,
  DEFAULT_TIMEOUTS,
  type Journal,
  type Tags,
  type TimeoutClass,
  type Timing,
  timeoutClassesInMs,
} from './application.ts';
export { type AuthVerdict, BasicAuth, type BasicAuthOptions, basicChallenge } from './basic-auth.ts';
export { BcryptThread, type Compare } from './bcrypt-thread.ts';
export { type CheckContext, type CheckedSite, checkSite } from './check.ts';
export { cookieValue } from './cookie.ts';
export { normalHost } from './host.ts';
export { type CheckedHtpasswd, checkHtpasswd, readRegularFile, type Users } from './htpasswd.ts';
export { compileJudge, type Judge, type Judgement, type Refusal } from './judge.ts';
export { formatNetwork, type Network, readNetwork } from './network.ts';
export { placeOf, type RoutableHead } from './place.ts';
export { type Finding, formatPath, formatProblem, type Problem, type Severity } from './problem.ts';
export { chooseRoute, compileRouter, type RouteChoice, type Router } from './router.ts';
export {
  backendsOf,
  type Limits,
  type Listener,
  listener as listenerSchema,
  type Match,
  type Pool,
  pool as poolSchema,
  type Recovery,
  type Route,
  recoveryInMs,
  type Site,
  type SiteInput,
} from './schema.ts';
export { compileTreatments, type Treatment } from './treatment.ts';
export { isUniform, refusals } from './uniform.ts';
