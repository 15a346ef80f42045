/** `node kit-probe.ts kit.json`, in a back end's place: asks the kit there how it is, and prints that as JSON. */
import { readFileSync } from 'node:fs';
import { ChannelClient } from '@resplice/kit-channel';
import { observerName } from '@resplice/topology';

const [file] = process.argv.slice(2);
const { self, listen, keyFile } = JSON.parse(readFileSync(file!, 'utf8'));
const client = new ChannelClient({
  kitKey: Buffer.from(readFileSync(keyFile, 'latin1').trim(), 'hex'),
  self: observerName,
  peer: { name: self, ...listen },
});
try {
  await client.tried;
  const answer = await client.request({ type: 'status' });
  if (answer.type === 'status') process.stdout.write(`${JSON.stringify(answer.status)}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  client.close();
}
