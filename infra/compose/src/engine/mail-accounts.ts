// Mail accounts of a lab of containers: the SMTP server's one knows the database.

import { type CommandResult, command, LabError, type MailAccounts } from '@resplice/engines';
import type { Lab } from '@resplice/engines/lab';
import { hostNamed } from '@resplice/topology';
import { exitWrong } from '../exit.ts';
import { containerOf } from './project.ts';

async function ask(args: readonly string[], input?: string): Promise<string> {
  const program = [
    'exec',
    '--interactive',
    containerOf('smtp-1'),
    'node',
    '/resplice/infra/compose/src/main.ts',
  ];
  const options = { anyExit: true, ...(input === undefined ? {} : { input }) };
  const { code, stdout, stderr }: CommandResult = await command('docker', [...program, ...args], options);
  if (code === 0) return stdout.trim();
  throw new LabError(code === exitWrong ? 'usage' : 'unhealthy', stderr.trim().split('\n')[0] ?? '');
}

/** @throws LabError usage when this lab serves no webmail */
export function accountsOf({ topology }: Lab): MailAccounts {
  if (!hostNamed(topology, 'smtp-1')) {
    throw new LabError(
      'usage',
      'the lab that is up serves no webmail, so there are no accounts; one that does: ./resplice up',
    );
  }
  return {
    addDemo: async () => `accounts ${await ask(['demo-accounts'])}`,
    async add({ address, name, password }) {
      await ask(['account', address.split('@')[0]!, name], `${password}\n`);
    },
  };
}
