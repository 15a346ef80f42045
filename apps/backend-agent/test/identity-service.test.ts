import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { parseIp, UNKNOWN_START } from '@resplice/dataplane';
import { silentLog } from '@resplice/service-kit';
import { until } from '@resplice/service-kit/testing';
import { IdentityService } from '../src/identity-service.ts';
import type { Binding, BindingKey } from '../src/layout.generated.ts';

const BINDING: Binding = {
  ...{ synIsn: 5000, p0: 6000, delta: 1, originalIsn: 1000, originalP0: 2000 },
  ...{ vip: parseIp('10.60.0.1'), vipPort: 80, proxy: 200, known: 1, localScale: 7, clientScale: 7 },
  ...{ owing: 0, owedEnd: 0, order: 4, numbered: 1, createdNs: 2n ** 60n + 1n },
};
const QUESTION = { client: '10.61.0.2', clientPort: 40_000, port: 8080 };

const bindings = new Map<number, Binding>([[40_000, BINDING]]);
const find = ({ client, clientPort, localPort }: BindingKey) =>
  client === parseIp('10.61.0.2') && localPort === 8080 ? bindings.get(clientPort) : undefined;
const service = new IdentityService(find, silentLog());
const ask = (question: object) => service.answer(JSON.stringify(question));

suite('the answer', () => {
  test("of a moved connection: the client's numbers, not those of the SYN, and what others were given", () => {
    assert.deepEqual(ask(QUESTION), {
      vip: '10.60.0.1',
      vipPort: 80,
      originalIsn: 1000,
      p0: 2000,
      start: 3,
      moved: true,
      sinceNs: '1152921504606846977',
    });
  });

  test('of a new one, and of one of which nobody knows the number', () => {
    bindings.set(1, { ...BINDING, order: 0 }).set(2, { ...BINDING, order: 0xffff });
    const about = (clientPort: number) => ask({ ...QUESTION, clientPort });
    assert.deepEqual(
      [about(1), about(2)].map(each => 'start' in each && [each.start, each.moved]),
      [
        [0, false],
        [UNKNOWN_START, true],
      ],
    );
  });

  test('of what is no connection of the tier, or was bound by a version that says too little', () => {
    bindings.set(3, { ...BINDING, numbered: 0 });
    for (const other of [{ clientPort: 3 }, { clientPort: 4 }, { client: '10.61.0.3' }, { port: 8081 }])
      assert.deepEqual(ask({ ...QUESTION, ...other }), { error: 'unknown' }, JSON.stringify(other));
  });

  test('to what is no question says what one is', () => {
    for (const line of ['', 'hello', '{}', '[]', '{"client":"x","clientPort":1,"port":1}', `{"a":1}`])
      assert.match((service.answer(line) as { error: string }).error, /^malformed: expected \{"client"/);
  });
});

suite('the connection', () => {
  let port: number;
  before(async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    ({ port } = probe.address() as AddressInfo);
    probe.close();
    await once(probe, 'close');
    await service.listen(port);
  });
  after(() => service.close());

  async function opened(): Promise<{ socket: Socket; text: () => string }> {
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    let text = '';
    socket.on('data', part => {
      text += part;
    });
    await once(socket, 'connect');
    return { socket, text: () => text };
  }

  test('takes many questions at once, cut anywhere, and answers in their order', async () => {
    const { socket, text } = await opened();
    const questions = [40_000, 1, 40_000, 2].map(
      clientPort => `${JSON.stringify({ ...QUESTION, clientPort })}\n`,
    );
    const all = questions.join('');
    for (const part of [all.slice(0, 30), all.slice(30, 31), all.slice(31)]) socket.write(part);
    await until('four answers', () => text().split('\n').length === 5);
    const starts = text()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).start);
    assert.deepEqual(starts, [3, 0, 3, UNKNOWN_START]);
    socket.destroy();
  });

  test('that never ends a line is cut off; others are not', async () => {
    const [endless, other] = await Promise.all([opened(), opened()]);
    endless.socket.on('error', () => {});
    endless.socket.write('x'.repeat(10_000));
    await once(endless.socket, 'close');
    other.socket.write(`${JSON.stringify(QUESTION)}\n`);
    await until('an answer', () => other.text().includes('"start":3'));
    other.socket.destroy();
  });
});
