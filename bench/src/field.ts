import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { NetnsEngine, type Place, placeNamed, type Watcher } from '@resplice/engines';
import { type Arm, arms, vip } from '@resplice/topology';
import { type LoggerReading, readLogger } from './logger.ts';
import type { BenchSite } from './site.ts';

const execute = promisify(execFile);

/** What no measurement takes on the slowest arm. */
const DEADLINE_MS = 120_000;

/** One arm's lab, as its client sees it. */
export interface Lab {
  readonly url: string;
  /** What a client may upload, a file in its place, and its bytes. */
  readonly upload: BenchSite['upload'];
  /** Asks the front-end logger what it has counted; null: the arm has none. */
  readonly readLogger: (() => Promise<LoggerReading>) | null;
  /** Runs a program in the client's place. @returns its standard output @throws Error when it fails, or takes two minutes */
  inClient(...argv: string[]): Promise<string>;
}

function placeOf(arm: Arm): Place {
  return placeNamed(`resplicebench${arm}`);
}

function engineOf(arm: Arm): NetnsEngine {
  return new NetnsEngine({ place: placeOf(arm) });
}

function labOf(arm: Arm, engine: NetnsEngine, { upload }: BenchSite): Lab {
  return {
    url: `http://${vip.address}:${vip.port}`,
    upload,
    readLogger: arm === 'resplice' ? () => readLogger(placeOf(arm)) : null,
    async inClient(...argv) {
      const [file, ...args] = engine.commandIn('client-1', argv);
      const { stdout } = await execute(file, args, { timeout: DEADLINE_MS, killSignal: 'SIGKILL' });
      return stdout;
    },
  };
}

/**
 * All arms up at the same time, each in a place of its own, so that rounds can go from one to the next at once. Only one carries
 * load at a time; what the others' daemons do meanwhile is the same for all.
 */
export class Field {
  readonly labs: Readonly<Record<Arm, Lab>>;

  private constructor(labs: Record<Arm, Lab>) {
    this.labs = labs;
  }

  /** @throws LabError when an arm does not come up; nothing is left then */
  static async up(site: BenchSite, watcher: Watcher): Promise<Field> {
    // A run that was killed may have left some.
    await Field.down();
    const labs: Partial<Record<Arm, Lab>> = {};
    try {
      for (const arm of arms) {
        const engine = engineOf(arm);
        watcher.progress?.(`bringing up ${arm}`);
        const quiet = watcher.signal ? { signal: watcher.signal } : {};
        await engine.up({ arm, proxies: 2, backends: 1, backendCommand: site.command }, quiet);
        const lab = labOf(arm, engine, site);
        // Thousands of connections a second: with the usual range the client itself would run out of ports.
        await lab.inClient('sh', '-c', 'echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range');
        labs[arm] = lab;
      }
    } catch (error) {
      await Field.down();
      throw error;
    }
    return new Field(labs as Record<Arm, Lab>);
  }

  /** Leaves nothing of any arm. */
  static async down(): Promise<void> {
    for (const arm of arms) await engineOf(arm).down();
  }
}
