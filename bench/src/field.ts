import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  LabError,
  NetnsEngine,
  type Place,
  placeNamed,
  type SiteFile,
  type Watcher,
} from '@resplice/engines';
import { checkSite, formatProblem } from '@resplice/site-config';
import { type Arm, arms, vip } from '@resplice/topology';
import { type LoggerReading, readLogger } from './logger.ts';
import type { BenchSite } from './site.ts';

const execute = promisify(execFile);

/** What no measurement takes on the slowest arm. */
const DEADLINE_MS = 120_000;

/** Two listeners, one of which does without the logger. */
const SITE_FILE = join(import.meta.dirname, '../resplice.yaml');

/** What can be measured: the arms, and of one of them a second listener. */
export type Target = Arm | 'splice';

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

function siteFile(): SiteFile {
  const checked = checkSite(readFileSync(SITE_FILE, 'utf8'), SITE_FILE, { backends: ['backend-1'] });
  if (!checked.ok) throw new LabError('usage', checked.problems.map(formatProblem).join('\n'));
  return { file: SITE_FILE, rules: checked.site };
}

/**
 * All arms up at the same time, each in a place of its own, so that rounds can go from one to the next at once. Only one carries
 * load at a time; what the others' daemons do meanwhile is the same for all.
 */
export class Field {
  readonly labs: Readonly<Record<Target, Lab>>;

  private constructor(labs: Record<Target, Lab>) {
    this.labs = labs;
  }

  /** @throws LabError when an arm does not come up; nothing is left then */
  static async up(site: BenchSite, watcher: Watcher): Promise<Field> {
    // A run that was killed may have left some.
    await Field.down();
    const labs: Partial<Record<Target, Lab>> = {};
    try {
      for (const arm of arms) {
        const engine = engineOf(arm);
        watcher.progress?.(`bringing up ${arm}`);
        const quiet = watcher.signal ? { signal: watcher.signal } : {};
        const follows = arm === 'resplice' ? siteFile() : undefined;
        const options = { arm, proxies: 2, backends: 1, backendCommand: site.command, siteFile: follows };
        await engine.up(options, quiet);
        const lab = labOf(arm, engine, site);
        // Thousands of connections a second: with the usual range the client itself would run out of ports.
        await lab.inClient('sh', '-c', 'echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range');
        labs[arm] = lab;
        const alone = follows?.rules.listeners.find(({ protect }) => protect === false);
        if (alone) labs.splice = { ...lab, url: `http://${vip.address}:${alone.port}`, readLogger: null };
      }
    } catch (error) {
      await Field.down();
      throw error;
    }
    return new Field(labs as Record<Target, Lab>);
  }

  /** Leaves nothing of any arm. */
  static async down(): Promise<void> {
    for (const arm of arms) await engineOf(arm).down();
  }
}
