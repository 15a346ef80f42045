import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formOf, objectsOf, objectsOfScript, objectsOfStyle } from '../../src/paper/page.ts';

const PAGE = `<!doctype html><html><head>
<link rel="icon" href="/i.svg?v=1&amp;w=2"><link rel="preload" href="/f.woff2" as="font"><link rel="canonical" href="/x">
<link rel="stylesheet" href="/s.css"><script type="module" src="/m.js"></script></head>
<body><svg><use href="/icons.svg#a"></use></svg><svg><use href="/icons.svg#b"></use></svg>
<picture><source srcset="/night.svg"><img src="/day.svg" alt=""></picture><img src="data:image/png;base64,AA">
<form method="post" action="/logout"><input type="hidden" name="csrf" value="a&amp;b"><button>Out</button></form>
<form class="compose" method="post" action="/draft/1" enctype="multipart/form-data">
<input type="hidden" name="csrf" value="t"><input id="s" name="subject" value="&lt;Hi&gt;"><input type="file" name="file">
<textarea id="body" name="body">
one
two</textarea><button name="action" value="send">Send</button></form>
</body></html>`;

suite('a page, as the sequential client reads it', () => {
  test('its objects, each once, without what nobody shows', () => {
    assert.deepEqual(objectsOf(PAGE), [
      '/i.svg?v=1&w=2',
      '/f.woff2',
      '/s.css',
      '/m.js',
      '/day.svg',
      '/icons.svg',
    ]);
  });

  test('what style sheets and modules ask for; of fonts those with Latin letters', () => {
    const face = (file: string, range: string) =>
      `@font-face { src: url("/${file}"); unicode-range: ${range}; }`;
    const css = `${face('a.woff2', 'U+0000-00FF, U+0131')}\n${face('b.woff2', 'U+0100-0130')}
      .x { background: url('/bg.png') } .y { background: url(data:image/gif;base64,AA) }`;
    assert.deepEqual(objectsOfStyle(css), ['/a.woff2', '/bg.png']);
    assert.deepEqual(objectsOfScript("import './mail.js';\nimport { a } from '../b.js';\nimport 'bare';"), [
      './mail.js',
      '../b.js',
    ]);
  });

  test('its forms as they stand', () => {
    assert.deepEqual(formOf(PAGE, '/logout'), {
      action: '/logout',
      multipart: false,
      fields: { csrf: 'a&b' },
    });
    assert.deepEqual(formOf(PAGE, '/draft/'), {
      action: '/draft/1',
      multipart: true,
      fields: { csrf: 't', subject: '<Hi>', body: 'one\ntwo' },
    });
    assert.throws(() => formOf(PAGE, '/login'), /no form whose action begins with \/login/);
  });
});
