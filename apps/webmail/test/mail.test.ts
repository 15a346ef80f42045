/** From login to inbox, as a person without JavaScript does it. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

suite('webmail', () => {
  let stand: Stand;
  let ada: Person;
  let ben: Person;
  before(async () => {
    stand = await Stand.start();
    [ada, ben] = await Promise.all([Person.loggedIn(stand.url, 'ada'), Person.loggedIn(stand.url, 'ben')]);
  });
  after(async () => await stand?.close());

  test('a mail that is sent is in the other inbox and in Sent, once each', async () => {
    const sent = await ada.send({
      recipients: 'Ben <ben@resplice.example>',
      subject: 'Lunch & <more>?',
      body: 'At noon, by the river.\n> as you said',
    });
    assert.match(sent.url, /\/mail\/sent\?notice=sent$/);
    assert.match(sent.text, /Your message has been sent\./);
    assert.equal((await ada.list('sent')).length, 1);
    const [id, ...others] = await ben.list('inbox');
    assert.deepEqual(others, []);
    const { text } = await ben.get(`/message/${id}`);
    assert.match(text, /<h1>Lunch &amp; &lt;more&gt;\?<\/h1>/);
    assert.match(text, /At noon, by the river\./);
    assert.match(text, /<b>Ada Marwah<\/b>/);
    assert.deepEqual(await ada.list('inbox'), []);
  });
});
