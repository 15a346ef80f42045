import { type Engine, type FaultReport, LabError, requireRoot, type Watcher } from '@resplice/engines';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { printJson, showProgress } from '../output.ts';
import { presentEngine } from '../present-engine.ts';
import { withStopSignal } from '../stop-signal.ts';

const usage = './resplice fault crash|cut|freeze|restart TARGET, isolate A --from B, or heal [TARGET]';
const isolateUsage = './resplice fault isolate A --from B';
const freezeUsage = './resplice fault freeze PROXY|BACKEND --at POINT';

type Fault = (engine: Engine, target: string, watcher: Watcher) => Promise<FaultReport>;

const withTarget: Readonly<Record<string, Fault>> = {
  crash: (engine, target) => engine.crash(target),
  cut: (engine, target) => engine.cut(target),
  freeze: (engine, target) => engine.freeze(target),
  restart: (engine, target, watcher) => engine.restart(target, watcher),
};

/** @throws LabError usage */
export function faultFrom(
  [kind, target, ...more]: readonly string[],
  { from, at }: { from?: string | undefined; at?: string | undefined },
): (engine: Engine, watcher: Watcher) => Promise<FaultReport> {
  if (!kind || more.length > 0) throw new LabError('usage', `usage: ${usage}`);
  if (kind === 'isolate') {
    if (!target || !from) throw new LabError('usage', `usage: ${isolateUsage}`);
    return engine => engine.isolate(target, from);
  }
  if (from !== undefined) throw new LabError('usage', `--from belongs to isolate; usage: ${isolateUsage}`);
  if (at !== undefined) {
    if (kind !== 'freeze') throw new LabError('usage', `--at belongs to freeze; usage: ${freezeUsage}`);
    if (!target) throw new LabError('usage', `usage: ${freezeUsage}`);
    return engine => engine.freezeAt(target, at);
  }
  if (kind === 'heal') return (engine, watcher) => engine.heal(target, watcher);
  const fault = Object.hasOwn(withTarget, kind) ? withTarget[kind] : undefined;
  if (!fault) {
    const kinds = [...Object.keys(withTarget), 'isolate', 'heal'].join(', ');
    throw new LabError('usage', `fault: "${kind}" does not exist yet; there is: ${kinds}`);
  }
  if (!target) throw new LabError('usage', `usage: ./resplice fault ${kind} TARGET`);
  return (engine, watcher) => fault(engine, target, watcher);
}

export const command = defineCommand({
  name: 'fault',
  synopsis: 'crash|cut|freeze|restart TARGET | isolate A --from B | freeze X --at POINT | heal [TARGET]',
  summary: 'Break COMPONENT or COMPONENT/PROCESS, or undo it; prints when it had taken effect.',
  options: {
    from: {
      type: 'string',
      value: 'B',
      help: 'of isolate: A and B hear each other no more, everybody else hears both',
    },
    at: {
      type: 'string',
      value: 'POINT',
      help: 'of freeze: when it gets there; proxy: before-publish, before-delivery; webmail: before-mail, …',
    },
  },
  async run({ values, positionals }) {
    const fault = faultFrom(positionals, values);
    requireRoot();
    const engine = await presentEngine();
    const report = await withStopSignal(signal => fault(engine, { signal, progress: showProgress }));
    printJson(report);
    return exitCode.pass;
  },
});
