// What the auxiliary logger adds to a mail: the same dialogue with the same SMTP server and database, straight and through it, in
// turn. Also how much of that is the log's sync, as the logger itself reports it.
//   node apps/logger/bench/auxiliary.ts [MAILS]

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { delegatedPassword, seedDemo } from '@resplice/mailstore';
import { testDatabase } from '@resplice/mailstore/testing';
import { SmtpService } from '@resplice/smtp';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { dial, LoggerProcess } from '../test/aux/fixture.ts';

const mails = Number(process.argv[2] ?? 300);
const KEY = 'a key for this benchmark, long enough for it';
const ADA = 'ada@resplice.example';
const BEN = 'ben@resplice.example';

const db = await testDatabase();
await seedDemo(db.database);
const common = { database: db.database, domain: 'resplice.example', delegationKey: KEY };
const log = pino({ level: 'silent' });
const straight = new SmtpService({ ...common, log });
const behind = new SmtpService({ ...common, proxies: ['127.0.0.1'], log });
const straightPort = await straight.listen(0, '127.0.0.1');
const logger = await LoggerProcess.start({ protocol: 'smtp', upstream: await behind.listen(0, '127.0.0.1') });

async function send(connection: Socket, id: string): Promise<void> {
  const auth = { user: ADA, pass: delegatedPassword(KEY, ADA) };
  const transport = createTransport({ connection, ignoreTLS: true, auth });
  const raw = `From: ${ADA}\r\nTo: ${BEN}\r\nSubject: s\r\nMessage-ID: <${id}@resplice.example>\r\n\r\nwords\r\n`;
  await transport.sendMail({ envelope: { from: ADA, to: [BEN] }, raw });
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const times: { straight: number[]; relayed: number[] } = { straight: [], relayed: [] };
for (let i = -20; i < mails; i++) {
  const a = await timed(async () => {
    const socket = connect({ host: '127.0.0.1', port: straightPort, noDelay: true });
    await once(socket, 'connect');
    await send(socket, `straight-${i}`);
  });
  const b = await timed(async () =>
    send(await dial(logger.port, { transaction: `relayed-${i}` }), `relayed-${i}`),
  );
  // The first ones warm up.
  if (i < 0) continue;
  times.straight.push(a);
  times.relayed.push(b);
}
const quantile = (values: number[], q: number): string =>
  values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))]!.toFixed(2);
for (const [way, values] of Object.entries(times)) {
  console.log(`${way}: median ${quantile(values, 0.5)} ms, 95 % ${quantile(values, 0.95)} ms`);
}
const added = times.relayed.map((each, i) => each - times.straight[i]!);
console.log(`added: median ${quantile(added, 0.5)} ms, 95 % ${quantile(added, 0.95)} ms`);
console.log('log:', (await logger.status()).log);

await logger.remove();
await straight.close();
await behind.close();
await db.close();
