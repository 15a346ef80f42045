import type { ParseArgsConfig } from 'node:util';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** What stands for its value in the help, `N` or `CMD`. */
  readonly value?: string;
  readonly default?: string;
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

type Value<O extends Option> = O['type'] extends 'boolean' ? boolean : string;

/** An option without a default may be missing. */
export type Values<T extends Options> = {
  readonly [K in keyof T]: T[K] extends { readonly default: string } ? Value<T[K]> : Value<T[K]> | undefined;
};

export interface Invocation<T extends Options = Options> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
}

/** One verb of the CLI. `run` resolves to the exit code. */
export interface Command<T extends Options = Options> {
  readonly name: string;
  /** The arguments, as the help shows them. */
  readonly synopsis: string;
  readonly summary: string;
  readonly options: T;
  run(invocation: Invocation<T>): Promise<number>;
}

/** Keeps the literal types of the options, so that `values` is typed. */
export function defineCommand<const T extends Options>(command: Command<T>): Command<T> {
  return command;
}

/** The table as `parseArgs` wants it. */
export function parserOptions(options: Options): NonNullable<ParseArgsConfig['options']> {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => [
      name,
      {
        type: option.type,
        ...(option.short ? { short: option.short } : {}),
        ...(option.default === undefined ? {} : { default: option.default }),
      },
    ]),
  );
}
