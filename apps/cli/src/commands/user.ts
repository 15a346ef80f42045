import { requireRoot } from '@resplice/engines';
import { oneOf, requirePositionals } from '../arguments.ts';
import { defineCommand } from '../command.ts';
import { exitCode } from '../exit-code.ts';
import { say } from '../output.ts';

export const command = defineCommand({
  name: 'user',
  synopsis: 'add NAME [--name TEXT]',
  summary: 'Add a mail account to the lab; its password is asked for, or the first line of standard input.',
  options: {
    name: { type: 'string', value: 'TEXT', help: 'whose it is, as recipients see it; NAME otherwise' },
  },
  async run({ values, positionals }) {
    requirePositionals(positionals, 2, 2, './resplice user add NAME [--name TEXT]');
    oneOf('user', positionals[0]!, ['add']);
    requireRoot();
    const { addMailAccount, addressOf, requireAccounts } = await import('../mail-accounts.ts');
    const address = addressOf(positionals[1]!);
    // Before anybody types a password for nothing.
    await requireAccounts();
    const { newPassword } = await import('../password-input.ts');
    const name = values.name?.trim() || address.split('@')[0]!;
    await addMailAccount({ address, name, password: await newPassword() });
    say(`${address} can log in`);
    return exitCode.pass;
  },
});
