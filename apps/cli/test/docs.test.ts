/** The documents say what the sources say: commands, links, sections, records, sizes, times, exits. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { type ControlRecord, MAX_RECORD_BYTES, SEAL_OVERHEAD, writeRecord } from '@resplice/protocol';
import { checkSite } from '@resplice/site-config';
import * as agent from '../../backend-agent/src/layout.generated.ts';
import * as lb from '../../lb/src/layout.generated.ts';
import * as logger from '../../logger/src/layout.generated.ts';
import * as proxy from '../../proxy/src/layout.generated.ts';
import { repository } from '../src/test-plan.ts';
import { loadVerb, verbNames } from '../src/verbs.ts';

function source(path: string): string {
  return readFileSync(join(repository, path), 'utf8');
}

const documents = ['README.md', ...globSync('docs/*.md', { cwd: repository })];
const readme = source('README.md');
const architecture = source('docs/ARCHITECTURE.md');
const faults = source('docs/FAULTS.md');

/** The cells of a table's rows, header and ruler included, below a heading and up to the next one. */
function rows(text: string, heading: RegExp): string[][] {
  const lines = text.split('\n');
  const start = lines.findIndex(line => heading.test(line));
  assert.notEqual(start, -1, `no heading ${heading}`);
  const end = lines.findIndex((line, i) => i > start && /^#/.test(line));
  return lines
    .slice(start + 1, end < 0 ? undefined : end)
    .filter(line => line.startsWith('|'))
    .map(line => line.split(/(?<!\\)\|/).slice(1, -1))
    .map(cells => cells.map(cell => cell.trim()));
}

/** As GitHub makes an anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

function anchors(path: string): string[] {
  return [...source(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
}

/** The target of a table cell's link, from the repository's root. */
function linked(cell: string): string {
  return join('docs', /\]\(([^)]+)\)/.exec(cell)![1]!);
}

suite('kernels in the documents', () => {
  test('every helper that a program calls is named with the version that has it', () => {
    const files = globSync(['apps/*/bpf/*.{c,h}', 'packages/dataplane/bpf/*.{c,h}'], { cwd: repository });
    const called = files.flatMap(file =>
      [...source(file).matchAll(/\b(bpf_[a-z0-9_]+)\(/g)].map(([, name]) => name!),
    );
    const orders = /^bpf_[hn]to[hn][sl]$/;
    const table = rows(source('docs/DEPLOY.md'), /^## Kernels/).flatMap(([names]) =>
      [...names!.matchAll(/`(bpf_[a-z0-9_]+)`/g)].map(([, name]) => name!),
    );
    assert.deepEqual([...new Set(called)].filter(name => !orders.test(name)).sort(), [...table].sort());
  });
});

suite('commands in the documents', () => {
  const commands = documents.flatMap(path =>
    [...source(path).matchAll(/\.\/resplice ([a-z]+)([^\n`]*)/g)].map(([, verb, rest]) => ({
      verb: verb!,
      // What follows `--` or stands in quotes is somebody else's.
      flags: [
        ...rest!
          .replace(/'[^']*'/g, '')
          .replace(/ -- .*/, '')
          .matchAll(/--[a-z-]+/g),
      ].map(([f]) => f),
    })),
  );

  test('every verb and flag is one that the CLI knows', async () => {
    assert.ok(commands.length > 10);
    for (const { verb, flags } of commands) {
      const command = await loadVerb(verb);
      assert.ok(command, `./resplice ${verb}`);
      for (const flag of flags) assert.ok(flag.slice(2) in command.options, `./resplice ${verb} ${flag}`);
    }
  });

  test('the README shows every verb', () => {
    for (const verb of verbNames) assert.ok(readme.includes(`./resplice ${verb}`), verb);
  });
});

test('the resplice.yaml of the README can be followed', () => {
  const [, text] = /```yaml\n(.*?)```/s.exec(readme)!;
  const checked = checkSite(text!, 'resplice.yaml', {
    backends: ['backend-1', 'backend-2'],
  });
  assert.deepEqual([checked.ok ? [] : checked.problems, checked.warnings], [[], []]);
});

suite('links and sections', () => {
  for (const path of documents) {
    test(`every relative link of ${path} leads somewhere`, () => {
      const links = [...source(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
      for (const link of links.filter(each => !/^[a-z]+:/.test(each))) {
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? path : join(dirname(path), file);
        assert.ok(existsSync(join(repository, target)), link);
        if (anchor !== undefined) assert.ok(anchors(target).includes(anchor), link);
      }
    });
  }

  test('every section that the code refers to exists', () => {
    const numbers = new Set([...architecture.matchAll(/^#+ (\d+(?:\.\d+)?)[. ]/gm)].map(([, n]) => n));
    const files = globSync('{apps,packages,infra,e2e}/**/*.{ts,c,h,md}', {
      cwd: repository,
      exclude: ['**/node_modules'],
    });
    let found = 0;
    for (const file of files) {
      for (const [reference, number] of source(file).matchAll(
        /ARCHITECTURE (?:§|section )(\d+(?:\.\d+)?)/g,
      )) {
        found++;
        assert.ok(numbers.has(number), `${file}: ${reference}`);
      }
    }
    assert.ok(found > 5);
  });
});

suite('the records of ARCHITECTURE.md', () => {
  const connection = { client: 1, vip: 2, clientPort: 3, vipPort: 4, isn: 5 };
  const entry = { ...connection, p0: 6, delta: 7, backend: 8, owner: 9, createdMs: 10 };
  const segment = { sequence: 1, acknowledgement: 2, window: 3, fin: false, payload: new Uint8Array(0) };
  const offer = { mss: 1460, windowScale: 7, sackPermitted: true };
  const part = { p0: 6, offer, offset: 0, payload: new Uint8Array(0) };
  const records: Record<string, ControlRecord> = {
    '`ask`': { type: 'ask', id: 1, claim: true, connection },
    '`answer` (none)': { type: 'answer', id: 1, knowledge: { kind: 'none' } },
    '`answer` (entry)': { type: 'answer', id: 1, knowledge: { kind: 'entry', entry } },
    '`answer` (held)': { type: 'answer', id: 1, knowledge: { kind: 'held', holder: 2 } },
    '`publish`': { type: 'publish', id: 1, entry },
    '`segment`': { type: 'segment', connection, segment },
    '`leave`': { type: 'leave', id: 1, generation: 2 },
    '`catchUp`': { type: 'catchUp', id: 1, generation: 2 },
    '`synced`': { type: 'synced', id: 1, generation: 2 },
    '`release`': { type: 'release', connection },
    '`closing`': { type: 'closing', connection },
    '`forget`': { type: 'forget', connection },
    '`fence`': { type: 'fence', id: 1, proxy: 2, epoch: 3 },
    '`standing`': { type: 'standing', id: 1 },
    '`join`': { type: 'join', id: 1, generation: 2, told: [] },
    '`answer` (standing)': {
      type: 'answer',
      id: 1,
      knowledge: { kind: 'standing', fenced: true, generation: 2 },
    },
    '`store`': { type: 'store', id: 1, connection, part },
    '`drop`': { type: 'drop', connection },
  };

  test('are those of the protocol, with their sizes', () => {
    const shown = rows(architecture, /^#### Set-up gate/).slice(2);
    const sizes = Object.entries(records).map(([name, record]) => [
      name,
      String(writeRecord(new DataView(new ArrayBuffer(MAX_RECORD_BYTES)), 0, record)),
    ]);
    assert.deepEqual(
      shown.map(([name, bytes]) => [name, bytes]),
      sizes,
    );
    const types = new Set(Object.values(records).map(({ type }) => type));
    const declared = globSync('packages/protocol/src/*-records.ts', { cwd: repository }).flatMap(file =>
      [...source(file).matchAll(/^ +(?:\| \{ )?type: '(\w+)';/gm)].map(([, type]) => type!),
    );
    assert.deepEqual([...types].sort(), declared.sort());
  });
});

suite('the figures of ARCHITECTURE.md', () => {
  const identity = source('packages/dataplane/bpf/identity.h');
  const bytes: Record<string, number> = {
    'seal (header and MAC) around a payload': SEAL_OVERHEAD,
    'longest control record': MAX_RECORD_BYTES,
    'liveness probe or answer, unsealed': Number(
      /^const BYTES = (\d+);/m.exec(source('packages/service-kit/src/probe.ts'))![1],
    ),
    'identity option': Number(/#define IDENTITY_LENGTH (\d+)/.exec(identity)![1]),
    "message under the identity option's MAC": Number(
      /sizeof\(struct identity_message\) == (\d+)/.exec(identity)![1],
    ),
    '`struct connection` (key of a splice)': proxy.connection.size,
    '`struct splice`': proxy.splice.size,
    '`struct segment_event`, before its payload': proxy.segmentEvent.size,
    '`struct reply_event`': proxy.replyEvent.size,
    '`struct binding_key`': agent.bindingKey.size,
    '`struct binding`': agent.binding.size,
    '`struct steering`': lb.steering.size,
    '`struct track`': logger.track.size,
    '`struct flow_key`': logger.flowKey.size,
    '`struct flow`': logger.flow.size,
    '`struct log_event`, before its bytes': logger.logEvent.size,
  };

  test('sizes are those of the sources', () => {
    const shown = rows(architecture, /^### Sizes in bytes/).slice(2);
    assert.deepEqual(Object.fromEntries(shown.map(([what, size]) => [what, Number(size)])), bytes);
  });

  test('times and limits are those of the sources', () => {
    const shown = rows(architecture, /^### Times and limits/).slice(2);
    assert.ok(shown.length > 20);
    for (const [name, value, where] of shown) {
      const constant = name!.replaceAll('`', '');
      const text = source(linked(where!));
      const found = new RegExp(`(?:const|#define) ${constant}(?: =)? ([\\d_]+)\\b`).exec(text);
      assert.ok(found, `${constant} in ${where}`);
      assert.equal(found[1]!.replaceAll('_', ''), value!.replaceAll(',', ''), constant);
    }
  });
});

suite('the exits of ARCHITECTURE.md', () => {
  const programs = [
    [/^### lb_wan /, 'LB', lb.lbExitNames],
    [/^### proxy_front /, 'PROXY', proxy.proxyExitNames.filter(name => name.startsWith('front_'))],
    [/^### proxy_back /, 'PROXY', proxy.proxyExitNames.filter(name => name.startsWith('back_'))],
    [/^### logger_middle /, 'LOGGER', logger.loggerExitNames.filter(name => name.startsWith('middle_'))],
    [/^### logger_back /, 'LOGGER', logger.loggerExitNames.filter(name => name.startsWith('back_'))],
    [/^### logger_out /, 'LOGGER', logger.loggerExitNames.filter(name => /^(out|never)_/.test(name))],
    [/^### agent_in, agent_out /, 'AGENT', agent.agentExitNames],
  ] as const;
  for (const [heading, prefix, exits] of programs) {
    test(`${heading.source}: those of the program, in its order`, () => {
      const shown = rows(architecture, heading).slice(2);
      assert.deepEqual(
        shown.map(([name]) => name!.replaceAll('`', '')),
        exits.map(name => `${prefix}_${name.toUpperCase()}`),
      );
    });
  }
});

suite('FAULTS.md', () => {
  test('names tests that exist', () => {
    const shown = rows(faults, /^## What covers what/).slice(2);
    assert.ok(shown.length > 10);
    for (const [promise, where, words] of shown) {
      assert.ok(source(linked(where!)).includes(words!.replaceAll('`', '')), `${promise}: ${words}`);
    }
  });
});
