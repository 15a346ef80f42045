import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, suite, test } from 'node:test';
import { DatagramSocket, formatIp, MAX_DATAGRAM, parseIp } from '../src/index.ts';
import { until } from './fixture.ts';

const LOOPBACK = parseIp('127.0.0.1');
const opened: DatagramSocket[] = [];

function open(port = 0): DatagramSocket {
  const socket = new DatagramSocket({ address: LOOPBACK, port, receiveBuffer: 4 << 20 });
  opened.push(socket);
  return socket;
}

/** What came, as text, with its sender. */
function collect(socket: DatagramSocket): string[] {
  const texts: string[] = [];
  socket.onDatagram((bytes, address, port) =>
    texts.push(`${Buffer.from(bytes).toString()} from ${formatIp(address)}:${port}`),
  );
  return texts;
}

suite('datagrams', () => {
  afterEach(() => {
    for (const socket of opened.splice(0)) socket.close();
  });

  test('come with their bytes and their sender', async () => {
    const [a, b] = [open(), open()];
    const texts = collect(b);
    assert.equal(a.send(Buffer.from('one'), LOOPBACK, b.port), undefined);
    await until('the datagram', () => texts.length === 1);
    assert.deepEqual(texts, [`one from 127.0.0.1:${a.port}`]);
  });

  test('speak with sockets of others, both ways, empty ones too', async () => {
    const own = open();
    const texts = collect(own);
    const other = createSocket('udp4').bind(0, '127.0.0.1');
    await once(other, 'listening');
    other.send('hello', own.port, '127.0.0.1');
    other.send('', own.port, '127.0.0.1');
    await until('both', () => texts.length === 2);
    const from = `from 127.0.0.1:${other.address().port}`;
    assert.deepEqual(texts, [`hello ${from}`, ` ${from}`]);
    const answer = once(other, 'message');
    own.send(Buffer.from('and back'), LOOPBACK, other.address().port);
    assert.equal(String((await answer)[0]), 'and back');
    other.close();
  });

  test('more than one system call takes are all delivered, in their order', async () => {
    const [a, b] = [open(), open()];
    const texts = collect(b);
    for (let i = 0; i < 2500; i++) assert.equal(a.send(Buffer.from(`${i}`), LOOPBACK, b.port), undefined);
    await until('all of them', () => texts.length === 2500);
    assert.deepEqual(
      texts.map(each => Number.parseInt(each, 10)),
      Array.from({ length: 2500 }, (_, i) => i),
    );
  });

  test('can be taken in before their turn', () => {
    const [a, b] = [open(), open()];
    const texts = collect(b);
    a.send(Buffer.from('now'), LOOPBACK, b.port);
    b.drain();
    assert.equal(texts.length, 1);
  });

  test('the longest is whole, a longer one is nobody’s', async () => {
    const [a, b] = [open(), open()];
    const lengths: number[] = [];
    b.onDatagram(bytes => lengths.push(bytes.length));
    a.send(new Uint8Array(MAX_DATAGRAM + 1), LOOPBACK, b.port);
    a.send(new Uint8Array(MAX_DATAGRAM), LOOPBACK, b.port);
    await until('the one that fits', () => lengths.length === 1);
    assert.deepEqual(lengths, [MAX_DATAGRAM]);
  });

  test('a refusal by the kernel is told, and harms nothing', async () => {
    const [a, b] = [open(), open()];
    assert.equal(a.send(Buffer.from('x'), parseIp('255.255.255.255'), 1), 'EACCES');
    assert.equal(a.send(new Uint8Array(70_000), LOOPBACK, b.port), 'EMSGSIZE');
    const texts = collect(b);
    a.send(Buffer.from('still there'), LOOPBACK, b.port);
    await until('the next one', () => texts.length === 1);
  });

  test('a port that is taken is an error with its number', () => {
    const { port } = open();
    assert.throws(() => open(port), new RegExp(`cannot bind UDP port ${port}.*EADDRINUSE`));
  });

  test('a closed socket sends and delivers nothing, and its port is free', () => {
    const socket = open();
    const texts = collect(socket);
    assert.throws(() => socket.onDatagram(() => {}), /already/);
    socket.close();
    socket.close();
    assert.equal(socket.send(Buffer.from('x'), LOOPBACK, socket.port), 'EBADF');
    open(socket.port);
    assert.deepEqual(texts, []);
  });
});
