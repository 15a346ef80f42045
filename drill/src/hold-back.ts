/** Packets to one of the client's ports that do not arrive: what a server has sent stays unacknowledged. */
import { inNamespace, output } from '@resplice/e2e/fixtures/command.ts';

const device = 'wan0';
const drop = 2;
const goOn = 0xff_ff_ff_ff;

/** Classic BPF, as the kernel has it without further modules: drop TCP over IPv4 to this port. */
function toPort(port: number): string {
  const instructions = [
    '40 0 0 12', // A = the frame's type
    `21 0 5 ${0x0800}`,
    '48 0 0 23', // A = IP's protocol
    '21 0 3 6',
    '40 0 0 36', // A = TCP's destination port, behind an IP header without options
    `21 0 1 ${port}`,
    `6 0 0 ${drop}`,
    `6 0 0 ${goOn}`,
  ];
  return [instructions.length, ...instructions].join(',');
}

/**
 * From here on nothing reaches the client at this port.
 *
 * @param namespace of the client's network, as `inNamespace` takes it
 * @param local `address:port` of its end
 * @returns what lets everything through again; harmless twice
 */
export async function holdBack(namespace: string, local: string): Promise<() => Promise<void>> {
  const port = Number(local.split(':')[1]);
  const tc = (input: string) => output(inNamespace(namespace, ['tc', '-batch', '-']), { input });
  await tc(
    `qdisc replace dev ${device} clsact\n` +
      `filter replace dev ${device} ingress pref 1 handle 1 protocol all bpf bytecode '${toPort(port)}' direct-action\n`,
  );
  let held = true;
  return async () => {
    if (!held) return;
    held = false;
    await tc(`qdisc del dev ${device} clsact\n`);
  };
}
