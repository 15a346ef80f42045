/** The SMTP server is away, slow, or says no, at each moment of the dialogue: nothing is lost, nothing is sent twice. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { FaultyPath, phases } from '@resplice/smtp/testing';
import { find, Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

suite('with an SMTP server that misbehaves', () => {
  let stand: Stand;
  let path: FaultyPath;
  let ada: Person;
  let ben: Person;
  let number = 0;

  before(async () => {
    stand = await Stand.start({
      reach: async port => {
        path = await FaultyPath.to(port);
        return path.port;
      },
      silenceMs: 300,
      webmail: { patience: { pausesMs: [30, 60, 120] } },
    });
    ada = await Person.loggedIn(stand.url, 'ada');
    ben = await Person.loggedIn(stand.url, 'ben');
  });
  after(async () => {
    await stand?.close();
    await path?.close();
  });

  const letter = () => ({ recipients: 'ben@resplice.example', subject: `letter ${++number}`, body: 'kept' });

  /** How often the other has it, and how often it stands in Sent. */
  async function copies(subject: string): Promise<{ inbox: number; sent: number }> {
    const count = async (person: Person, folder: string): Promise<number> => {
      const { text } = await person.get(`/mail/${folder}?q=${encodeURIComponent(subject)}`);
      return text.split(`<span class="subject">${subject}</span>`).length - 1;
    };
    return { inbox: await count(ben, 'inbox'), sent: await count(ada, 'sent') };
  }

  /** The address of the draft with this subject. */
  async function draftOf(subject: string): Promise<string> {
    const { text } = await ada.get('/mail/drafts');
    const items = text.split('<li class="row">').filter(item => item.includes(`>${subject}<`));
    assert.equal(items.length, 1);
    return find(items[0]!, /href="(\/draft\/[^"]+)"/);
  }

  for (const phase of phases) {
    for (const code of [451, 554]) {
      test(`${code} at ${phase}: the page says why, and the draft can be sent later, once`, async () => {
        const wanted = letter();
        path.set({ phase, kind: 'refuse', code });
        const { status, text } = await ada.send(wanted);
        assert.equal(path.fired > 0, true, 'inconclusive: the fault did not fire');
        assert.equal(status, 502, text);
        assert.match(text, /role="alert".*Not sent: .*kept as a draft/s);
        assert.deepEqual(await copies(wanted.subject), { inbox: 0, sent: 0 });
        path.heal();
        const draft = await draftOf(wanted.subject);
        const again = await ada.press(await ada.open(draft), 'send');
        assert.match(again.text, /has been sent/);
        assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
      });
    }
  }

  for (const [phase, kind] of [
    ...phases.map(each => [each, 'silence'] as const),
    ...phases.map(each => [each, 'cut'] as const),
  ]) {
    test(`${kind} at ${phase}: it is on its way, and arrives once`, async () => {
      const wanted = letter();
      path.set({ phase, kind, times: 1 });
      const { text, url } = await ada.send(wanted);
      assert.equal(path.fired, 1, 'inconclusive: the fault did not fire');
      assert.match(url, /notice=sending/, text);
      await until('the outbox to have delivered it', async () => (await copies(wanted.subject)).inbox > 0);
      await until('the mark to go', async () => !(await ada.get('/mail/sent')).text.includes('Sending…'));
      assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
      assert.doesNotMatch((await ada.get('/mail/drafts')).text, new RegExp(wanted.subject));
    });
  }

  test('delivered, and the answer is lost: it is sent, as the database knows', async () => {
    const wanted = letter();
    path.set({ phase: 'dot', kind: 'lose', times: 1 });
    const { text } = await ada.send(wanted);
    assert.equal(path.fired, 1, 'inconclusive: the fault did not fire');
    assert.match(text, /has been sent/);
    assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
    assert.doesNotMatch((await ada.get('/mail/drafts')).text, new RegExp(wanted.subject));
  });

  test('delivered, and the answer is that the server goes down: it is sent, not refused', async () => {
    const wanted = letter();
    path.set({ phase: 'dot', kind: 'replace', code: 421, times: 1 });
    const { text } = await ada.send(wanted);
    assert.equal(path.fired, 1, 'inconclusive: the fault did not fire');
    assert.match(text, /has been sent/);
    assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
    assert.doesNotMatch((await ada.get('/mail/drafts')).text, new RegExp(wanted.subject));
  });

  test('not delivered, and the answer is that the server goes down: it is sent later', async () => {
    const wanted = letter();
    path.set({ phase: 'dot', kind: 'refuse', code: 421, times: 1 });
    const { text, url } = await ada.send(wanted);
    assert.match(url, /notice=sending/, text);
    await until('the outbox to have delivered it', async () => (await copies(wanted.subject)).inbox > 0);
    assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
  });

  test('being delivered while it is refused elsewhere: the one who takes back waits, and does not', async () => {
    const wanted = letter();
    const waiting = async (): Promise<number> => {
      const rows = await stand.database.query<{ query: string }>(
        `select query from pg_stat_activity where wait_event_type = 'Lock'`,
      );
      return rows.length;
    };
    await stand.database.transact(async client => {
      // The delivery has begun, and cannot end while we hold its mailbox.
      await client.query(`select from accounts where address = 'ben@resplice.example' for update`);
      path.heal();
      const sent = ada.send(wanted);
      await until('the delivery', async () => (await waiting()) === 1);
      path.set({ phase: 'MAIL', kind: 'refuse', code: 550 });
      assert.match((await sent).url, /notice=sending/);
      await until('the refusal', () => path.fired > 0);
      await until('both', async () => (await waiting()) === 2);
    });
    await until('the mark to go', async () => !(await ada.get('/mail/sent')).text.includes('Sending…'));
    assert.deepEqual(await copies(wanted.subject), { inbox: 1, sent: 1 });
    assert.doesNotMatch((await ada.get('/mail/drafts')).text, new RegExp(wanted.subject));
    path.heal();
  });

  test('refused, and taken by a server that was slow to hear of it: it is delivered to nobody', async () => {
    const wanted = letter();
    path.set({ phase: 'MAIL', kind: 'refuse', code: 550 });
    assert.equal((await ada.send(wanted)).status, 502);
    path.heal();
    const [claimed] = await stand.database.query<{ n: number }>(
      `select count(*)::int as n from deliveries d
         where recipient = 'ben@resplice.example' and not exists (select from messages m where m.message_id = d.message_id)`,
    );
    assert.ok(claimed!.n >= 1);
    assert.deepEqual(await copies(wanted.subject), { inbox: 0, sent: 0 });
  });

  test('not taken yet when a server died that was heard by nobody, then refused: the draft is back', async () => {
    const wanted = letter();
    path.set({ phase: 'DATA', kind: 'cut', times: 1 });
    const sent = ada.send(wanted);
    await until('the first attempt', () => path.fired === 1);
    path.set({ phase: 'MAIL', kind: 'refuse', code: 550 });
    await sent;
    const hasDraft = async (): Promise<boolean> =>
      (await ada.get('/mail/drafts')).text.includes(wanted.subject);
    await until('the draft to come back', hasDraft);
    const draft = await draftOf(wanted.subject);
    assert.match((await ada.get(draft)).text, /An earlier attempt had no answer: it may have arrived/);
    assert.deepEqual(await copies(wanted.subject), { inbox: 0, sent: 0 });
    path.heal();
  });

  test('not for this recipient: the others get it, and the copy says who did not', async () => {
    path.heal();
    const { text, url } = await ada.send({
      recipients: 'ben@resplice.example, nobody@resplice.example',
      subject: 'for two',
    });
    assert.match(url, /\/message\/\d+\?notice=partly$/);
    assert.match(text, /Not delivered to nobody@resplice\.example: 550 5\.1\.1 There is no mailbox/);
    assert.deepEqual(await copies('for two'), { inbox: 1, sent: 1 });
  });

  test('a server that is not there: the page says so, the draft stays', async () => {
    const wanted = letter();
    await path.close();
    const { status, text } = await ada.send(wanted);
    assert.equal(status, 502);
    assert.match(text, /the mail server does not take mail now/);
    assert.match((await ada.get('/mail/drafts')).text, new RegExp(wanted.subject));
    assert.deepEqual(await copies(wanted.subject), { inbox: 0, sent: 0 });
  });
});
