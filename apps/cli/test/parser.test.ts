import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { type Engine, LabError } from '@resplice/engines';
import { wholeNumber } from '../src/arguments.ts';
import { parseInvocation } from '../src/cli.ts';
import { parserOptions } from '../src/command.ts';
import { faultFrom } from '../src/commands/fault.ts';
import { commandHelp, helpText } from '../src/help-text.ts';
import { loadAllVerbs, loadVerb, verbNames } from '../src/verbs.ts';

async function verb(name: string) {
  const command = await loadVerb(name);
  assert.ok(command, name);
  return command;
}

suite('the help', async () => {
  const commands = await loadAllVerbs();

  test('names every verb that is due, each by its own module', () => {
    assert.deepEqual(
      [...verbNames],
      [
        'up',
        'status',
        'exec',
        'fault',
        'drain',
        'logs',
        'trace',
        'user',
        'reload',
        'check',
        'drill',
        'bench',
        'down',
        'test',
        'help',
      ],
    );
    assert.deepEqual(
      commands.map(command => command.name),
      verbNames,
    );
  });

  test('shows exactly the options that the parser takes', () => {
    for (const command of commands) {
      const shown = [...commandHelp(command).matchAll(/^ {6}(?:-(\w), )?--([\w-]+)/gm)];
      const taken = Object.entries(parserOptions(command.options));
      assert.deepEqual(
        shown.map(([, short, name]) => [name, short]),
        taken.map(([name, option]) => [name, option.short]),
        command.name,
      );
      assert.ok(helpText(commands).includes(command.summary), command.name);
    }
  });

  test('is the text that the launcher shows before anything is installed', () => {
    const committed = readFileSync(new URL('../help.txt', import.meta.url), 'utf8');
    assert.equal(committed, helpText(commands), 'write it anew: ./resplice help > apps/cli/help.txt');
  });

  test('fits a terminal', () => {
    for (const line of helpText(commands).split('\n')) assert.ok(line.length <= 120, line);
  });
});

suite('the parser', () => {
  test('fills in what CLI.md gives as defaults', async () => {
    const { values } = parseInvocation(await verb('up'), []);
    assert.deepEqual(
      { ...values },
      { engine: 'netns', arm: 'resplice', link: 'lan', proxies: '2', backends: '2', steering: 'hash' },
    );
  });

  test('leaves everything behind -- to the command of exec', async () => {
    const { positionals } = parseInvocation(await verb('exec'), ['client-1', '--', 'curl', '-s', '--', 'x']);
    assert.deepEqual(positionals, ['client-1', 'curl', '-s', '--', 'x']);
  });

  test('refuses options that a verb does not have, and values where none belong', async () => {
    const down = await verb('down');
    assert.throws(() => parseInvocation(down, ['--force']), { code: 'usage', message: /--force/ });
    const up = await verb('up');
    assert.throws(() => parseInvocation(up, ['--detach=yes']), { code: 'usage' });
    assert.throws(() => parseInvocation(up, ['--proxies']), { code: 'usage' });
  });

  for (const text of ['0', '17', '-1', '2.0', '1e1', '', ' 3', 'two']) {
    test(`--proxies "${text}" is no number of proxies`, () => {
      assert.throws(() => wholeNumber('--proxies', text, 1, 16), LabError);
    });
  }

  test('a number within the bounds is taken, the bounds too', () => {
    assert.deepEqual(
      ['1', '7', '16'].map(text => wholeNumber('--proxies', text, 1, 16)),
      [1, 7, 16],
    );
  });
});

suite('the faults', () => {
  /** What an engine would be asked for. */
  async function asked(args: readonly string[]): Promise<string[]> {
    const { values, positionals } = parseInvocation(await verb('fault'), args);
    const calls: string[] = [];
    const engine = new Proxy({} as Engine, {
      get:
        (_, method) =>
        (...given: unknown[]) =>
          calls.push([method, ...given.filter(each => typeof each === 'string')].join(' ')),
    });
    await faultFrom(positionals, values as { from?: string; at?: string })(engine, {});
    return calls;
  }

  for (const [line, call] of [
    ['crash proxy-1', 'crash proxy-1'],
    ['cut proxy-1', 'cut proxy-1'],
    ['freeze backend-1/demo', 'freeze backend-1/demo'],
    ['restart backend-1/demo', 'restart backend-1/demo'],
    ['isolate proxy-1 --from lb-1', 'isolate proxy-1 lb-1'],
    ['isolate --from=lb-1 proxy-1', 'isolate proxy-1 lb-1'],
    ['freeze proxy-1 --at before-publish', 'freezeAt proxy-1 before-publish'],
    ['heal', 'heal'],
    ['heal proxy-1', 'heal proxy-1'],
  ] as const) {
    test(`"${line}" asks for it`, async () => assert.deepEqual(await asked(line.split(' ')), [call]));
  }

  for (const [line, message] of [
    ['', /^usage: /],
    ['crash', /usage: .*fault crash TARGET/],
    ['freeze', /usage: .*fault freeze TARGET/],
    ['freeze proxy-1 proxy-2', /^usage: /],
    ['isolate', /usage: .*isolate A --from B/],
    ['isolate proxy-1', /usage: .*isolate A --from B/],
    ['isolate --from lb-1', /usage: .*isolate A --from B/],
    ['isolate proxy-1 lb-1', /^usage: /],
    ['isolate proxy-1 --from', /--from/],
    ['cut proxy-1 --from lb-1', /--from belongs to isolate/],
    ['heal --from lb-1', /--from belongs to isolate/],
    ['cut proxy-1 --at before-publish', /--at belongs to freeze/],
    ['freeze --at before-publish', /freeze PROXY\|BACKEND --at POINT/],
    ['melt proxy-1', /"melt" does not exist yet; there is: crash, cut, freeze, restart, isolate, heal/],
  ] as const) {
    test(`"${line}" is refused in a sentence`, () =>
      assert.rejects(asked(line.split(' ').filter(Boolean)), { code: 'usage', message }));
  }
});
