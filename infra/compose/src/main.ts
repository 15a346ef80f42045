import { parseArgs } from 'node:util';

const usage = `usage: main.ts run COMPONENT PART...
       main.ts keys
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
      const { makeKeys } = await import('./keys.ts');
      makeKeys();
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
      const { usualDeployment, deploymentIn } = await import('./deployment.ts');
      const text = { type: 'string' } as const;
      const { values } = parseArgs({
        args: rest,
        options: { proxies: text, backends: text, site: text },
      });
      process.stdout.write(
        composeText(
          deploymentIn({
            RESPLICE_PROXIES: values.proxies ?? String(usualDeployment.proxies),
            RESPLICE_BACKENDS: values.backends ?? String(usualDeployment.backends),
            RESPLICE_SITE: values.site ?? usualDeployment.site,
          }),
        ),
      );
      break;
    }
    default:
      process.stderr.write(usage);
      process.exitCode = 64;
  }
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exit(1);
}
