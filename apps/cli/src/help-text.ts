import type { Command, Option } from './command.ts';

const exitCodes = `Exit codes: 0 pass, 1 fail, 2 inconclusive, 64 wrong usage, 69 a capability is missing,
70 internal error. exec passes its command's code through.`;

function heading({ name, synopsis }: Command): string {
  return ['./resplice', name, synopsis].filter(Boolean).join(' ');
}

function flags(name: string, { short, value }: Option): string {
  return `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`;
}

function optionLines({ options }: Command): string[] {
  const rows = Object.entries(options).map(
    ([name, option]) =>
      [flags(name, option), option.help + (option.default ? ` (default ${option.default})` : '')] as const,
  );
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `      ${left.padEnd(width)}  ${right}`);
}

function commandLines(command: Command): string[] {
  return [`  ${heading(command)}`, `      ${command.summary}`, ...optionLines(command)];
}

export function commandHelp(command: Command): string {
  return `${[`usage: ${heading(command)}`, `      ${command.summary}`, ...optionLines(command)].join('\n')}\n`;
}

/** The whole help, made from the same tables that the parser reads. */
export function helpText(commands: readonly Command[]): string {
  return `Resplice: a web serving tier whose clients never notice that a machine died.

Usage:
${commands.map(command => commandLines(command).join('\n')).join('\n\n')}

JSON goes to standard output and nothing else does; progress goes to standard error.
${exitCodes}
`;
}
