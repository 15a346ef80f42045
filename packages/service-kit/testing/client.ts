// Connects once from each of its own ports and tells what the server said, as JSON { port: text }.
// argv: local address, server address, server port, own ports joined by commas.

import { connect } from 'node:net';

const [localAddress, host, port, localPorts] = process.argv.slice(2);

function talk(localPort: number): Promise<string> {
  return new Promise(resolve => {
    let text = '';
    const socket = connect({ host: host!, port: Number(port), localAddress: localAddress!, localPort });
    socket.setTimeout(1000, () => socket.destroy(new Error('silence')));
    socket.on('data', bytes => {
      text += String(bytes);
    });
    socket.on('error', error => resolve(String((error as NodeJS.ErrnoException).code ?? error.message)));
    socket.on('close', () => resolve(text));
  });
}

const ports = localPorts!.split(',').map(Number);
const texts = await Promise.all(ports.map(talk));
process.stdout.write(JSON.stringify(Object.fromEntries(ports.map((own, i) => [own, texts[i]]))));
