/** A server that is told to end answers what it was asked, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { Person } from '../testing/person.ts';
import { KEY, Stand } from '../testing/stand.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const SECRET = 'a secret that the stand alone uses, and nobody else';

let stand: Stand;
before(async () => {
  stand = await Stand.start();
});
after(async () => await stand?.close());

function portIsOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise(resolve => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).then(isOpen => {
    socket.destroy();
    return isOpen as boolean;
  });
}

async function started(): Promise<{ child: ChildProcess; port: number; output: () => string }> {
  const { host, user, database } = stand.db.cluster.address;
  const port = 20_000 + (process.pid % 10_000);
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      RESPLICE_KIT: '',
      PORT: String(port),
      LISTEN: '127.0.0.1',
      DATABASE_URL: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
      SMTP_SERVER: `127.0.0.1:${stand.smtpPort}`,
      DELEGATION_KEY: KEY,
      SESSION_SECRET: SECRET,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', bytes => {
      output += String(bytes);
    });
  }
  await until(
    'it to listen',
    async () => {
      assert.equal(child.exitCode, null, output);
      return await portIsOpen(port);
    },
    20_000,
  );
  return { child, port, output: () => output };
}

suite('SIGTERM', () => {
  test('while a letter is being sent: it is sent, its page comes, and the process ends well', async () => {
    const { child, port, output } = await started();
    try {
      const ada = await Person.loggedIn(`http://127.0.0.1:${port}`, 'ada');
      const form = await ada.open();
      const exit = once(child, 'exit');
      const answer = await stand.database.transact(async client => {
        // Its delivery cannot end while we hold its mailbox.
        await client.query(`select from accounts where address = 'ben@resplice.example' for update`);
        const letter = { recipients: 'ben@resplice.example', subject: 'in time', body: 'x', action: 'send' };
        const sent = ada.request(
          form.action,
          { method: 'POST', body: new URLSearchParams({ ...form.fields, ...letter }) },
          0,
        );
        await until('the delivery', async () => {
          const waiting = await stand.database.query(
            `select from pg_stat_activity where wait_event_type = 'Lock'`,
          );
          return waiting.length === 1;
        });
        child.kill('SIGTERM');
        await until('it to listen no more', async () => !(await portIsOpen(port)));
        assert.equal(child.exitCode, null, output());
        return { sent };
      });
      const { status, headers } = await answer.sent;
      assert.deepEqual([status, headers.get('location')], [303, '/mail/sent?notice=sent']);
      assert.deepEqual(await exit, [0, null], output());
      assert.doesNotMatch(output(), /"level":(50|60)/);
      const ben = await Person.loggedIn(stand.url, 'ben');
      assert.equal((await ben.list('inbox', '?q=time')).length, 1);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('while nothing is asked: it ends at once, whoever keeps a connection', async () => {
    const { child, port, output } = await started();
    const exit = once(child, 'exit');
    const idle = connect(port, '127.0.0.1');
    const used = new Person(`http://127.0.0.1:${port}`);
    try {
      await once(idle, 'connect');
      assert.equal((await used.get('/login')).status, 200);
      child.kill('SIGTERM');
      assert.deepEqual(await exit, [0, null], output());
    } finally {
      idle.destroy();
      child.kill('SIGKILL');
    }
  });
});
