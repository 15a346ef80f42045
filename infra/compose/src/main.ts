import { text } from 'node:stream/consumers';
import type { Settings } from './deployment.ts';
import { exitWrong } from './exit.ts';

const usage = `usage: main.ts run COMPONENT PART...
       main.ts keys [--proxies N] [--backends N] [--site webmail|demo]
       main.ts settle [--proxies N] [--backends N] [--site webmail|demo] <SETTINGS
       main.ts account NAME [TEXT] <PASSWORD
       main.ts demo-accounts
       main.ts file [--proxies N] [--backends N] [--site webmail|demo]
`;

const [verb, ...rest] = process.argv.slice(2);
try {
  switch (verb) {
    case 'run': {
      const { runContainer } = await import('./container.ts');
      const [component = '', ...parts] = rest;
      await runContainer(component, parts);
      break;
    }
    case 'keys': {
      const [{ makeKeys }, { makeKnown }, { deploymentFrom }] = await Promise.all([
        import('./keys.ts'),
        import('./known-deployment.ts'),
        import('./deployment.ts'),
      ]);
      makeKeys();
      makeKnown(deploymentFrom(rest));
      break;
    }
    case 'settle': {
      const [{ settle }, { deploymentFrom }] = await Promise.all([
        import('./known-deployment.ts'),
        import('./deployment.ts'),
      ]);
      settle(deploymentFrom(rest), JSON.parse(await text(process.stdin)) as Settings);
      break;
    }
    case 'account': {
      const { addMailAccount } = await import('./accounts.ts');
      const [name = '', text] = rest;
      process.stdout.write(`${await addMailAccount(name, text)}\n`);
      break;
    }
    case 'demo-accounts': {
      const { addDemoAccounts } = await import('./accounts.ts');
      process.stdout.write(`${await addDemoAccounts()}\n`);
      break;
    }
    case 'file': {
      const { composeText } = await import('./compose-file.ts');
      const { deploymentFrom } = await import('./deployment.ts');
      process.stdout.write(composeText(deploymentFrom(rest)));
      break;
    }
    default:
      process.stderr.write(usage);
      process.exitCode = exitWrong;
  }
} catch (error) {
  const isWrong = error instanceof RangeError;
  process.stderr.write(`${isWrong ? error.message : (error as Error).stack}\n`);
  process.exit(isWrong ? exitWrong : 1);
}
