import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Broken, composeFormOf } from '../../src/storm/person.ts';

test('a form is taken from its page as a browser would', () => {
  const page = `<form class="search"><input name="q" value="x"></form>
<form class="compose" id="compose" method="post" action="/draft/1-2">
  <input type="hidden" name="csrf" value="a&amp;b">
  <div><input id="subject" name="subject" value="&quot;Hi&quot;" maxlength="20"></div>
</form>`;
  assert.deepEqual(composeFormOf(page), { action: '/draft/1-2', fields: { csrf: 'a&b', subject: '"Hi"' } });
  assert.throws(() => composeFormOf('<p>Not found</p>'), Broken);
});
