/** Mail from people who mean harm, or whose programs are broken. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { sanitizeMail } from '../src/mail/sanitizer.ts';
import { Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

const sanitized = (html: string, images = false): string =>
  sanitizeMail(html, { images, files: [], fileHref: index => `/file/${index}` }).html;

suite('sanitised HTML', () => {
  for (const html of [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '<svg onload=alert(1)><script>alert(1)</script></svg>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" jAvAsCrIpT&#58;alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<iframe src="https://evil.example"></iframe>',
    '<object data="https://evil.example"></object><embed src="https://evil.example">',
    '<form action="https://evil.example"><input name=password><button>Log in</button></form>',
    '<style>@import "https://evil.example/x.css"; body { display: none }</style>',
    '<link rel=stylesheet href="https://evil.example/x.css"><base href="https://evil.example/">',
    '<meta http-equiv=refresh content="0;url=https://evil.example">',
    '<p style="background:url(https://evil.example/x)">x</p>',
    '<p style="background:u\\72l(https://evil.example/x)">x</p>',
    '<p style="position:fixed;inset:0;z-index:9">x</p>',
    '<img src="//evil.example/pixel.gif"><img srcset="https://evil.example/x 2x">',
    '<table background="https://evil.example/x"><tr><td background="https://evil.example/y">x</td></tr></table>',
    '<video src="https://evil.example" autoplay></video><audio src="https://evil.example"></audio>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<template><script>alert(1)</script></template><title><img src=x onerror=alert(1)></title>',
  ]) {
    test(`does nothing: ${html.slice(0, 60)}`, () => {
      const clean = sanitized(html);
      assert.doesNotMatch(
        clean,
        /<(script|svg|iframe|object|embed|form|input|button|style|link|base|meta|video|audio|math|template)|javascript:|data:text|url\(|position|srcset|background="/i,
      );
      // Of what remains, nothing names the other site but links that are followed on purpose, and no handler is an attribute.
      assert.doesNotMatch(clean.replace(/title="[^"]*"/g, ''), /<[^>]*\son\w+=|evil\.example/i);
    });
  }

  test('keeps what letters are made of', () => {
    const html =
      '<h1 style="color:#7a2e1d">Hi</h1><p>a <b>b</b> <a href="https://x.example/?a=1&amp;b=2">c</a></p>';
    assert.equal(
      sanitized(html),
      '<h1 style="color:#7a2e1d">Hi</h1><p>a <b>b</b> <a href="https://x.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">c</a></p>',
    );
  });

  test('has pictures from elsewhere only when asked, and counts them', () => {
    const html = '<img src="https://x.example/a.png" alt="A"><img src="http://x.example/b.png">';
    const without = sanitizeMail(html, { images: false, files: [], fileHref: String });
    assert.deepEqual([without.blocked, without.html.includes('x.example')], [2, false]);
    assert.match(without.html, /<img alt="A" \/>/);
    assert.match(sanitized(html, true), /src="https:\/\/x\.example\/a\.png"/);
  });

  test('of many megabytes is its beginning, whole', () => {
    const html = `<p>first</p>${'<p>more of it</p>'.repeat(100_000)}<p>last</p>`;
    const { html: clean, isCut } = sanitizeMail(html, { images: false, files: [], fileHref: String });
    assert.equal(isCut, true);
    assert.ok(clean.length <= 1_000_100);
    assert.match(clean, /^<p>first<\/p>.*<\/p>$/s);
    assert.doesNotMatch(clean, /last/);
  });

  test('is made in time of 20,000 nested elements and a megabyte of attributes', () => {
    const start = performance.now();
    sanitized(`${'<div>'.repeat(20_000)}x`);
    sanitized(`<p ${'a="b" '.repeat(150_000)}>x</p>`);
    sanitized(`<p style="${'color:red;'.repeat(20_000)}">x</p>`);
    assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
  });
});

suite('a message that arrives', () => {
  let stand: Stand;
  let ada: Person;
  before(async () => {
    stand = await Stand.start();
    ada = await Person.loggedIn(stand.url, 'ada');
  });
  after(async () => await stand?.close());

  /** Sends these very bytes by SMTP, as another server would; returns its page. */
  async function deliver(raw: string | Buffer): Promise<{ id: string; page: string }> {
    const before = await ada.list('inbox');
    const transport = createTransport({ host: '127.0.0.1', port: stand.smtpPort, ignoreTLS: true });
    const envelope = { from: 'stranger@x.example', to: ['ada@resplice.example'] };
    const { response } = await transport.sendMail({ envelope, raw: raw === '' ? '\r\n' : raw });
    assert.match(response, /^250 2\.0\.0 Accepted/);
    const id = (await ada.list('inbox')).find(each => !before.includes(each))!;
    return { id, page: (await ada.get(`/message/${id}`)).text };
  }

  for (const [what, raw, shown] of [
    ['no header at all', 'just some words', /just some words|no text/],
    ['nothing', '', /no subject/],
    ['a subject full of markup', 'Subject: <script>alert(1)</script>\r\n\r\nx', /<h1>&lt;script&gt;/],
    [
      'a name full of markup',
      'From: "<img src=x>" <a@x.example>\r\nSubject: s\r\n\r\nx',
      /<b>&lt;img src=x&gt;<\/b>/,
    ],
    [
      'a boundary that never comes',
      'Content-Type: multipart/mixed; boundary=b\r\nSubject: s\r\n\r\nx',
      /<h1>s<\/h1>/,
    ],
    [
      'parts without an end',
      'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello there',
      /hello there/,
    ],
    [
      'broken base64',
      'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!aGVsbG8\u0001=',
      /hello/,
    ],
    ['an unknown character set', 'Content-Type: text/plain; charset=x-none\r\n\r\nhello', /hello/],
    ['an unknown encoding', 'Content-Transfer-Encoding: rot13\r\n\r\nhello', /hello/],
    ['NULs', 'Subject: a\0b\r\n\r\nc\0d', /<h1>ab<\/h1>/],
    [
      'broken UTF-8',
      Buffer.from('Subject: =?utf-8?q?=ff=fe?=\r\n\r\n\xff\xfe\xfd', 'latin1'),
      /class="message"/,
    ],
    ['a half surrogate', 'Subject: =?utf-16be?b?2D0=?=\r\n\r\nx', /class="message"/],
    ['a date that is none', 'Date: yesterday\r\nSubject: s\r\n\r\nx', /<h1>s<\/h1>/],
    ['a header of 60 kB', `Subject: ${'word '.repeat(12_000)}\r\n\r\nx`, /class="message"/],
    ['5,000 headers', `${'X-A: b\r\n'.repeat(5000)}Subject: s\r\n\r\nx`, /<h1>s<\/h1>/],
    ['a word of a megabyte', `Subject: s\r\n\r\n${`${'w'.repeat(900)}\r\n`.repeat(1200)}`, /<h1>s<\/h1>/],
    [
      'a thousand recipients',
      `To: ${Array.from({ length: 1000 }, (_, i) => `a${i}@x.example`).join(',\r\n ')}\r\n\r\nx`,
      /a999@x\.example/,
    ],
    ['parts in parts in parts', nested(300), /class="message"/],
  ] as const) {
    test(`with ${what} is accepted, listed and shown`, async () => {
      const { page } = await deliver(raw);
      assert.match(page, shown);
      assert.equal((await ada.get('/mail/inbox')).status, 200);
    });
  }

  test('with HTML is shown in a frame that can do nothing', async () => {
    const { id, page } = await deliver(
      'Content-Type: text/html\r\nSubject: s\r\n\r\n<p>Hello<img src="https://x.example/p.gif"><script>alert(1)</script></p>',
    );
    assert.match(page, /Pictures from elsewhere are not shown.*\?images=1/s);
    assert.match(
      page,
      /<iframe[^>]* sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"/,
    );
    const body = await ada.get(`/message/${id}/body`);
    assert.doesNotMatch(body.text, /x\.example|<script/);
    const policy = body.headers.get('content-security-policy')!;
    assert.match(policy, /default-src 'none'.*img-src 'self' data:;.*sandbox/);
    assert.doesNotMatch(policy, /allow-scripts|script-src|https:/);
    const asked = await ada.get(`/message/${id}/body?images=1`);
    assert.match(asked.text, /https:\/\/x\.example\/p\.gif/);
    assert.match(asked.headers.get('content-security-policy')!, /img-src 'self' data: http: https:;/);
  });

  test('with more HTML than is shown says so', async () => {
    const line = `<p>${'long '.repeat(150)}</p>\r\n`;
    const { id, page } = await deliver(`Content-Type: text/html\r\nSubject: s\r\n\r\n${line.repeat(1500)}`);
    assert.match(page, /only its beginning is shown/);
    assert.ok((await ada.get(`/message/${id}/body`)).text.length < 1_100_000);
  });

  test('with pictures inside shows those, and never an SVG', async () => {
    const part = (type: string, cid: string): string =>
      `--b\r\nContent-Type: ${type}\r\nContent-ID: <${cid}>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n`;
    const { id } = await deliver(
      `Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src="cid:a"><img src="cid:s">\r\n${part('image/png', 'a')}${part('image/svg+xml', 's')}--b--`,
    );
    const body = await ada.get(`/message/${id}/body`);
    assert.match(body.text, new RegExp(`src="/message/${id}/picture/0"`));
    const picture = await ada.get(`/message/${id}/picture/0`);
    assert.deepEqual([picture.status, picture.headers.get('content-type')], [200, 'image/png']);
    assert.equal((await ada.get(`/message/${id}/picture/1`)).status, 404);
  });
});

function nested(depth: number): string {
  let raw = 'Content-Type: text/plain\r\n\r\ndeep\r\n';
  for (let i = 0; i < depth; i++) {
    raw = `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n${raw}\r\n--b${i}--\r\n`;
  }
  return raw;
}
