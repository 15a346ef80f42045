/** `node apps/webmail/testing/try.ts [PORT]`: the whole application with demo accounts, until Ctrl-C. */
import { DEMO_PASSWORD, demoAccounts } from '@resplice/mailstore';
import { Stand } from './stand.ts';

const stand = await Stand.start({ port: Number(process.argv[2] ?? 8080) });
process.stdout.write(`${stand.url}\n`);
for (const { address } of demoAccounts) process.stdout.write(`  ${address}  ${DEMO_PASSWORD}\n`);
process.once('SIGINT', () => void stand.close().then(() => process.exit(0)));
