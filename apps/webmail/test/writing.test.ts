/** Drafts, attachments, replies: what is typed arrives as it was typed, and is never lost. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { fieldsOf, find, Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

let stand: Stand;
let ada: Person;
let ben: Person;
before(async () => {
  stand = await Stand.start();
  [ada, ben] = await Promise.all([Person.loggedIn(stand.url, 'ada'), Person.loggedIn(stand.url, 'ben')]);
});
after(async () => await stand?.close());

const BEN = 'ben@resplice.example';

/** The newest message in somebody's inbox, as it travelled. */
async function newestSource(person: Person): Promise<string> {
  const [id] = await person.list('inbox');
  return (await person.get(`/message/${id}/source`)).text;
}

suite('a draft', () => {
  test('is kept as typed, opened again, sent, and gone from Drafts', async () => {
    const body = 'Zeilen,\n\n  mit Abstand & <b>Spitzen</b> “…”\n\ttab';
    const saved = await ada.press(await ada.open(), 'save', { recipients: BEN, subject: 'später', body });
    assert.match(saved.text, /has been saved/);
    const path = new URL(saved.url).pathname;
    const opened = await ada.open(path);
    assert.deepEqual([opened.fields.subject, opened.fields.body], ['später', body]);
    assert.match((await ada.press(opened, 'send')).text, /has been sent/);
    assert.doesNotMatch((await ada.get('/mail/drafts')).text, /später/);
    assert.match((await ada.get(path)).url, /\/mail\/sent\?notice=already/);
  });

  test('is sent once, however often the button is pressed', async () => {
    const form = await ada.open();
    const letter = { recipients: BEN, subject: 'twice', body: 'x' };
    const answers = await Promise.all([1, 2, 3].map(() => ada.press(form, 'send', letter)));
    for (const { status } of answers) assert.equal(status, 200);
    assert.match((await ada.press(form, 'send', letter)).text, /had been sent already/);
    assert.equal((await ben.list('inbox', '?q=twice')).length, 1);
    assert.equal((await ada.list('sent', '?q=twice')).length, 1);
  });

  test('saved late does not come back after it was sent or discarded', async () => {
    for (const end of ['send', 'discard']) {
      const form = await ada.open();
      await ada.press(form, 'save', { recipients: BEN, subject: `late ${end}`, body: 'x' });
      const again = await ada.open(form.action);
      await ada.press(again, end);
      const late = await ada.post(`${form.action}/autosave`, {
        ...again.fields,
        edition: '99',
        body: 'late',
      });
      assert.deepEqual([late.status, JSON.parse(late.text).kind], [409, 'closed']);
      assert.doesNotMatch((await ada.get('/mail/drafts')).text, /late/);
    }
  });

  test('of an older edition does not overwrite a newer one, and nothing typed is lost', async () => {
    const form = await ada.open();
    await ada.press(form, 'save', { subject: 'first', body: 'one' });
    const newer = await ada.open(form.action);
    await ada.press(newer, 'save', { subject: 'second', body: 'two' });
    const { status, text } = await ada.press(form, 'save', { subject: 'old tab', body: 'three' });
    assert.equal(status, 409);
    assert.equal(fieldsOf(text).body, 'three');
    const copy = { action: find(text, /action="(\/draft\/[^"]+)"/), fields: fieldsOf(text) };
    assert.notEqual(copy.action, form.action);
    await ada.press(copy, 'save');
    assert.equal((await ada.open(form.action)).fields.body, 'two');
    assert.equal((await ada.open(copy.action)).fields.body, 'three');
  });

  test('survives the end of the session: the text comes back with a way to log in', async () => {
    const chloe = await Person.loggedIn(stand.url, 'chloe');
    const form = await chloe.open();
    chloe.cookies.clear();
    const { status, text } = await chloe.press(form, 'send', {
      recipients: BEN,
      subject: 'overdue',
      body: 'typed for hours',
    });
    assert.equal(status, 401);
    assert.match(text, /Your session has ended.*Log in in another tab/s);
    assert.equal(fieldsOf(text).body, 'typed for hours');
    await chloe.login('chloe');
    // The form's token is that of the former session.
    const first = await chloe.press({ action: form.action, fields: fieldsOf(text) }, 'send');
    assert.equal(first.status, 403);
    const second = await chloe.press({ action: form.action, fields: fieldsOf(first.text) }, 'send');
    assert.match(second.text, /has been sent/);
    assert.equal((await ben.list('inbox', '?q=overdue')).length, 1);
  });

  test('of one user cannot be read, saved or sent by another', async () => {
    const form = await ada.open();
    await ada.press(form, 'save', { subject: 'mine', body: 'secret' });
    assert.equal((await ben.get(form.action)).status, 404);
    const theirs = await ben.open();
    await ben.press({ ...theirs, action: form.action }, 'save', { subject: 'theirs', body: 'x' });
    assert.equal((await ada.open(form.action)).fields.body, 'secret');
  });
});

suite('recipients and headers', () => {
  for (const [what, letter, said] of [
    ['nobody', { recipients: '' }, /there is no recipient/],
    ['no address', { recipients: 'ben' }, /“ben” is not an e-mail address/],
    [
      'a quoted one',
      { recipients: '"ben>\r\nrcpt to:<x@y.example"@resplice.example' },
      /not an e-mail address/,
    ],
    [
      'too many',
      { recipients: Array.from({ length: 101 }, (_, i) => `a${i}@x.example`).join() },
      /101 recipients/,
    ],
  ] as const) {
    test(`${what}: a clear sentence, and the draft stays`, async () => {
      const { status, text } = await ada.send({ subject: 'to whom', body: 'kept', ...letter });
      assert.equal(status, 422);
      assert.match(text, said);
      assert.equal(fieldsOf(text).body, 'kept');
    });
  }

  test('line breaks in a field make no header, no command and no second message', async () => {
    const evil = 'x\r\nBcc: chloe@resplice.example\r\n\r\ninjected\r\n.\r\nRCPT TO:<chloe@resplice.example>';
    const answer = await ada.send({
      recipients: `Ben ${evil.slice(1, 20)} <${BEN}>`,
      subject: evil,
      body: 'first\r\n.\r\nMAIL FROM:<x@y.example>\r\nlast',
    });
    assert.match(answer.text, /has been sent/);
    const source = await newestSource(ben);
    const [head, ...rest] = source.split('\r\n\r\n');
    assert.doesNotMatch(head!, /^(bcc|rcpt|injected)/im);
    assert.match(rest.join('\r\n\r\n'), /first\r\n\.\r\nMAIL FROM:<x@y\.example>\r\nlast/);
    const chloe = await Person.loggedIn(stand.url, 'chloe');
    assert.deepEqual(await chloe.list('inbox'), []);
  });

  const EVIL = 'x\r\nX-Evil: yes\r\n\r\ninjected';
  for (const [what, letter] of [
    ['To', { recipients: `Ben ${EVIL} <${BEN}>` }],
    ['To, quoted', { recipients: `"Ben ${EVIL}" <${BEN}>` }],
    ['Cc', { recipients: BEN, cc: `Ben ${EVIL} <${BEN}>` }],
    ['Bcc', { recipients: BEN, bcc: `Ben ${EVIL} <${BEN}>` }],
    ['Subject', { recipients: BEN, subject: `s ${EVIL}` }],
    ['In-Reply-To', { recipients: BEN, inReplyTo: `<a@x.example>${EVIL}` }],
    ['References', { recipients: BEN, references: `<a@x.example>${EVIL} <b\r\nX-Evil: yes@x.example>` }],
  ] as const) {
    for (const end of ['\r\n', '\n', '\r']) {
      test(`${what} with ${JSON.stringify(end)} in it is one field`, async () => {
        const fields = Object.fromEntries(
          Object.entries({ subject: 's', body: 'x', ...letter }).map(([name, text]) => [
            name,
            text.replaceAll('\r\n', end),
          ]),
        );
        const { action, fields: given } = await ada.open();
        const before = await ben.list('inbox');
        const { text } = await ada.post(action, { ...given, ...fields, action: 'send' });
        assert.match(text, /has been sent/);
        const [newest] = await ben.list('inbox');
        assert.ok(!before.includes(newest!));
        const source = await newestSource(ben);
        const head = source.slice(0, source.indexOf('\r\n\r\n'));
        assert.doesNotMatch(head, /(^|\r|[^\r]\n)(X-Evil|injected)/im);
        assert.doesNotMatch(source, /^injected/m);
      });
    }
  }

  test('the name of a file and one’s own name make no header either', async () => {
    const dave = await Person.loggedIn(stand.url, 'ada');
    const csrf = await dave.token();
    const settings = { csrf, signature: '', pageSize: '50' };
    await dave.post('/settings', { ...settings, name: `Ada ${EVIL}` });
    const { action, fields } = await dave.open();
    const field = (name: string, value: string): string =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const all = { ...fields, recipients: BEN, subject: 's', body: 'x', action: 'send' };
    const body = `${Object.entries(all)
      .map(([name, value]) => field(name, value))
      .join(
        '',
      )}--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"; filename*=UTF-8''a%0D%0AX-Evil%3A%20yes.txt\r\nContent-Type: text/plain; a=X-Evil:\r\n\r\nhello\r\n--b--\r\n`;
    const { text } = await dave.request(action, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
      body,
    });
    assert.match(text, /has been sent/);
    const source = await newestSource(ben);
    assert.match(source, /aGVsbG8=|hello/);
    assert.doesNotMatch(source, /^X-Evil|^injected/im);
    await dave.post('/settings', { ...settings, name: 'Ada Marwah' });
  });

  test('Bcc is in one’s own copy, and in nobody else’s', async () => {
    await ada.send({ recipients: 'chloe@resplice.example', bcc: BEN, subject: 'hidden', body: 'x' });
    assert.doesNotMatch(await newestSource(ben), /bcc|ben@/i);
    const [mine] = await ada.list('sent', '?q=hidden');
    assert.match(
      (await ada.get(`/message/${mine}`)).text,
      /<dt>Bcc<\/dt><dd><span class="person"><span class="address">ben@/,
    );
  });

  test('a request made again has the same bytes: Message-ID, date and boundaries are its own', async () => {
    const source = await newestSource(ben);
    const id = find(source, /^Message-ID: <([\w-]+)@resplice\.example>/m);
    await ada.send({ recipients: BEN, subject: 'parts', body: 'x', files: [new File(['a'], 'a.txt')] });
    const parts = await newestSource(ben);
    const own = find(parts, /^Message-ID: <([\w-]+)@resplice\.example>/m);
    assert.notEqual(own, id);
    assert.ok(find(parts, /boundary="([^"]+)"/).includes(own));
  });
});

suite('attachments', () => {
  test('arrive byte by byte, under their names, and are kept rather than shown', async () => {
    const bytes = new Uint8Array(300_000).map((_, i) => (i * 7919) & 255);
    const name = 'Übersicht "2"; <b>.html';
    await ada.send({
      recipients: BEN,
      subject: 'files',
      body: 'x',
      files: [new File([bytes], name, { type: 'text/html' })],
    });
    const [id] = await ben.list('inbox');
    assert.match((await ben.get(`/message/${id}`)).text, /300 kB/);
    const response = await fetch(`${stand.url}/message/${id}/file/0`, {
      headers: { cookie: `session=${ben.cookies.get('session')}` },
    });
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
    assert.equal(response.headers.get('content-type'), 'application/octet-stream');
    assert.match(
      response.headers.get('content-disposition')!,
      /^attachment; filename="[ -~]*"; filename\*=UTF-8''%C3%9C/,
    );
    assert.match(response.headers.get('content-security-policy')!, /sandbox/);
  });

  test('of 24 MB go through; of 26 MB do not, and the text beside them is saved', async () => {
    const file = (megabytes: number): File => new File([new Uint8Array(megabytes * 1e6)], `${megabytes}.bin`);
    const letter = { recipients: BEN, subject: 'heavy', body: 'with a long text' };
    const refused = await ada.send({ ...letter, files: [file(26)] });
    assert.equal(refused.status, 413);
    assert.match(refused.text, /together can have 25 MB.*Not attached: “26\.bin”/);
    assert.equal(fieldsOf(refused.text).body, 'with a long text');
    const path = find(refused.text, /action="(\/draft\/[^"]+)"/);
    const fitting = await ada.press(await ada.open(path), 'send', { files: [file(24)] });
    assert.match(fitting.text, /has been sent/);
    const [id] = await ben.list('inbox');
    assert.match((await ben.get(`/message/${id}`)).text, /24\.0 MB/);
  });

  test('can be added, removed and forwarded', async () => {
    const form = await ada.open();
    const files = [new File(['one'], 'one.txt'), new File(['two'], 'two.txt')];
    const saved = await ada.press(form, 'save', { recipients: BEN, subject: 'two files', body: 'x', files });
    const remove = find(saved.text, /name="remove" value="(\d+)" title="Remove one\.txt"/);
    const opened = await ada.open(form.action);
    await ada.press({ ...opened, fields: { ...opened.fields, remove } }, 'save');
    await ada.press(await ada.open(form.action), 'send');
    const [id] = await ben.list('inbox');
    const received = await ben.get(`/message/${id}`);
    assert.doesNotMatch(received.text, /one\.txt/);
    const passed = await ben.open(`/compose?forward=${id}`);
    assert.match(passed.fields.subject!, /^Fwd: two files$/);
    await ben.press(passed, 'send', { recipients: 'ada@resplice.example' });
    const [mine] = await ada.list('inbox');
    assert.equal((await ada.get(`/message/${mine}/file/0`)).text, 'two');
  });
});

test('a reply goes to the author, names its thread, and quotes', async () => {
  await ada.send({
    recipients: BEN,
    cc: 'chloe@resplice.example',
    subject: 'question',
    body: 'Line one\n> older',
  });
  const [id] = await ben.list('inbox');
  const { fields } = await ben.open(`/compose?reply=${id}`);
  assert.deepEqual(
    [fields.recipients, fields.cc, fields.subject],
    ['Ada Marwah <ada@resplice.example>', '', 'Re: question'],
  );
  assert.match(fields.body!, /Ada Marwah wrote:\n> Line one\n>> older/);
  const all = await ben.open(`/compose?all=${id}`);
  assert.equal(all.fields.cc, 'chloe@resplice.example');
  await ben.press(all, 'send');
  const source = await newestSource(ada);
  const parent = find(await newestSource(ben), /^Message-ID: (<[^>]+>)/m);
  assert.ok(source.includes(`In-Reply-To: ${parent}`) && source.includes(`References: ${parent}`));
});
